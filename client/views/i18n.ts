// The texts of the page: one catalogue with the server (portal/core/texts), fetched once as a file named by its content.

import { format } from "./places.ts";

declare const __TEXTS__: Readonly<Record<string, { readonly url: string; readonly integrity: string }>>;

type Sentence = string | Readonly<Record<string, string>>;
export type Values = Readonly<Record<string, string | number>>;

const FALLBACK = "en";
let spoken = FALLBACK;
let sentences: Readonly<Record<string, Sentence>> = {};
let plurals = new Intl.PluralRules(FALLBACK);

/** A language beside the one that the page speaks: for what is printed for other people. */
export interface Translated {
  readonly language: string;
  readonly t: (key: string, values?: Values) => string;
}

/** Sentences of some languages, those that we do not speak left out; never none. */
export function translations(wanted: readonly string[]): Promise<readonly Translated[]> {
  const known = [...new Set(wanted)].filter((language) => language in __TEXTS__);
  return Promise.all((known.length === 0 ? [FALLBACK] : known).map(async (language) => {
    const catalogue = await fetchTexts(language);
    const forms = new Intl.PluralRules(language === "qps" ? FALLBACK : language);
    return { language, t: (key, values = {}) => said(catalogue, forms, key, values) };
  }));
}

/** Fetches the texts of `wanted` (or English, where we do not speak it) and uses them from then on. */
export async function speak(wanted: string): Promise<void> {
  const language = wanted in __TEXTS__ ? wanted : FALLBACK;
  useTexts(language, await fetchTexts(language));
}

async function fetchTexts(language: string): Promise<Readonly<Record<string, Sentence>>> {
  const file = __TEXTS__[language];
  if (file === undefined) throw new Error("the client was built without texts");
  const answer = await fetch(file.url, { integrity: file.integrity, credentials: "omit" });
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  return (await answer.json()) as Record<string, Sentence>;
}

/** Uses texts at hand (tests). */
export function useTexts(language: string, catalogue: Readonly<Record<string, Sentence>>): void {
  spoken = language;
  sentences = catalogue;
  plurals = new Intl.PluralRules(locale());
}

/** The language spoken now: "en", "es", or "qps" for the pseudo language. */
export function language(): string {
  return spoken;
}

/** The language as Intl knows it. */
export function locale(): string {
  return spoken === "qps" ? "en" : spoken;
}

/** The sentence `key` with its {named} places filled; plural forms are chosen by `count`. An unknown key throws. */
export function t(key: string, values: Values = {}): string {
  return said(sentences, plurals, key, values);
}

function said(catalogue: Readonly<Record<string, Sentence>>, forms: Intl.PluralRules, key: string, values: Values): string {
  const sentence = catalogue[key];
  if (sentence === undefined) throw new Error(`no text ${key}`);
  if (typeof sentence === "string") return format(sentence, values);
  const form = forms.select(Number(values["count"]));
  return format(sentence[form] ?? sentence["other"] ?? "", values);
}

/** Whether the catalogue has `key`: for words that come from outside, such as topics of a newer version. */
export function has(key: string): boolean {
  return key in sentences;
}
