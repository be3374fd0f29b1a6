// Fields, after the GOV.UK patterns: the label says what, the hint how, the error what to do; a summary leads to each.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";

import { t } from "../i18n.ts";
import { Button, Icon } from "./basics.tsx";

/** What a browser or an extension must not do with words that are private: translate, correct or complete them elsewhere. */
export const PRIVATE_WORDS = {
  translate: false,
  spellcheck: false,
  autocomplete: "off",
  // Spelled so that it becomes the attribute: the property of this name is a boolean, for which any text means "on".
  autoCorrect: "off",
  autocapitalize: "sentences",
  writingsuggestions: "false",
  "data-gramm": "false",
  "data-gramm_editor": "false",
  "data-enable-grammarly": "false",
  "data-lt-active": "false",
  "data-ms-editor": "false",
} as const;

export interface Problem {
  /** The id of the field. */
  readonly field: string;
  readonly text: string;
}

/** What is wrong, first on the page and focused when it appears; each line leads to its field. */
export function ErrorSummary({ problems }: { readonly problems: readonly Problem[] }) {
  const box = useRef<HTMLDivElement>(null);
  const told = problems.map((one) => one.text).join("\n");
  // With what is drawn, not after it: whoever types at once keeps what is typed.
  useLayoutEffect(() => { if (told !== "") box.current?.focus(); }, [told]);
  if (problems.length === 0) return null;
  return (
    <div class="summary-errors" role="alert" tabIndex={-1} ref={box}>
      <h2>{t("common.error.title")}</h2>
      <ul>
        {problems.map((one) => (
          <li key={one.field}>
            <a href={`#${one.field}`} onClick={(event) => {
              event.preventDefault();
              document.getElementById(one.field)?.focus();
            }}>{one.text}</a>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface FieldProps {
  readonly id: string;
  readonly label: ComponentChildren;
  readonly hint?: ComponentChildren;
  readonly error?: string | undefined;
}

/** Label, hint and error around a control; `control` gets the attributes that tie them together. */
export function Field({ id, label, hint, error, control }: FieldProps & {
  readonly control: (ties: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ComponentChildren;
}) {
  const described = [hint === undefined ? "" : `${id}-hint`, error === undefined ? "" : `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class={error === undefined ? "field" : "field field--error"}>
      <label for={id}>{label}</label>
      {hint === undefined ? null : (
        <div class="field__hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
      {error === undefined ? null : (
        <p class="field__error" id={`${id}-error`}>
          <Icon name="warn" />
          <span>
            <span class="sr-only">{t("common.error.prefix")} </span>
            {error}
          </span>
        </p>
      )}
      {control({ id, ...(described === "" ? {} : { "aria-describedby": described }), ...(error === undefined ? {} : { "aria-invalid": true as const }) })}
    </div>
  );
}

/** One line of text. `secret` words are kept from translation and writing aids. */
export function TextField({ value, onInput, type = "text", autoComplete, secret = false, short = false, ...field }: FieldProps & {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly type?: "text" | "search" | "date" | "tel";
  readonly autoComplete?: string;
  readonly secret?: boolean;
  readonly short?: boolean;
}) {
  return (
    <Field {...field} control={(ties) => (
      <input {...ties} {...(secret ? PRIVATE_WORDS : {})} {...(autoComplete === undefined ? {} : { autocomplete: autoComplete })}
        {...asText(type)} class={short ? "input input--short" : "input"} value={value} onInput={(event) => onInput(event.currentTarget.value)} />
    )} />
  );
}

/** Several lines of private words. */
export function PrivateArea({ value, onInput, rows = 4, ...field }: FieldProps & {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly rows?: number;
}) {
  return (
    <Field {...field} control={(ties) => (
      <textarea {...ties} {...PRIVATE_WORDS} class="area" rows={rows} value={value} onInput={(event) => onInput(event.currentTarget.value)} />
    )} />
  );
}

/** A passphrase: pasting, password managers and looking at it are all allowed. `fresh`: a new one is chosen. */
export function PassphraseField({ value, onInput, fresh = false, words, onUseWords, ...field }: FieldProps & {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly fresh?: boolean;
  /** Five words offered instead. */
  readonly words?: readonly string[];
  readonly onUseWords?: () => void;
}) {
  const [shown, setShown] = useState(false);
  return (
    <div class="stack-tight">
      <Field {...field} control={(ties) => (
        <div class="with-button">
          <input {...ties} {...PRIVATE_WORDS} {...asText(shown ? "text" : "password")} class="input" autocapitalize="none"
            autocomplete={fresh ? "new-password" : "current-password"} value={value} onInput={(event) => onInput(event.currentTarget.value)} />
          <Button look="quiet" pressed={shown} onClick={() => setShown(!shown)}>{t(shown ? "views.passphrase.hide" : "views.passphrase.show")}</Button>
        </div>
      )} />
      {words === undefined ? null : (
        <div class="stack-tight">
          <p>{t("views.passphrase.words")}</p>
          <ul class="words" translate={false}>{words.map((word) => <li key={word}>{word}</li>)}</ul>
          {onUseWords === undefined ? null : <Button look="quiet" onClick={onUseWords}>{t("views.passphrase.use")}</Button>}
        </div>
      )}
    </div>
  );
}

/** Six digits that open a shared device. `fresh`: new ones are chosen. Never kept by the browser or its password manager. */
export function PinField({ value, onInput, fresh = false, ...field }: FieldProps & {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly fresh?: boolean;
}) {
  return (
    <Field {...field} control={(ties) => (
      <input {...ties} {...PRIVATE_WORDS} {...asText("password")} class="input input--short figures" inputMode="numeric" maxLength={6}
        pattern="[0-9]*" autocapitalize="none" autocomplete={fresh ? "new-password" : "off"} value={value}
        onInput={(event) => onInput(event.currentTarget.value)} />
    )} />
  );
}

/** Yes or no, with the whole line to hit. */
export function Checkbox({ id, label, hint, checked, onChange }: {
  readonly id: string;
  readonly label: ComponentChildren;
  readonly hint?: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}) {
  return (
    <div class="field check">
      <input id={id} type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)}
        {...(hint === undefined ? {} : { "aria-describedby": `${id}-hint` })} />
      <label for={id}>{label}</label>
      {hint === undefined ? null : <span class="check__hint" id={`${id}-hint`}>{hint}</span>}
    </div>
  );
}

/** One out of several large tiles. */
export function TileChoice<V extends string>({ legend, value, options, onChange }: {
  readonly legend: string;
  readonly value: V | null;
  readonly options: readonly { readonly value: V; readonly label: string; readonly hint?: string }[];
  readonly onChange: (value: V) => void;
}) {
  const name = useId();
  return (
    <fieldset class="field">
      <legend>{legend}</legend>
      <div class="tiles">
        {options.map((one) => (
          <label class="tile" key={one.value}>
            <input type="radio" name={name} value={one.value} checked={value === one.value} onChange={() => onChange(one.value)} />
            <span><strong>{one.label}</strong>{one.hint === undefined ? null : <span class="tile__hint">{one.hint}</span>}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

// The library's types tie attributes to one fixed type of input; those used here belong to all of these.
function asText(type: "text" | "search" | "date" | "tel" | "password"): { type: "text" } {
  return { type: type as "text" };
}
