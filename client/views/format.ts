// Times, days and sizes in words, in the reader's language and zone.

import { locale, t } from "./i18n.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

let zone: string | undefined;
let own: string | undefined;

/**
 * Sets the time zone that is shown (IANA name): the person's, else the pharmacy's; unset, or a name this browser does
 * not know: the browser's own. Where the clock on the wall says something else, times name their zone.
 */
export function setZone(name: string | null, here: string = new Intl.DateTimeFormat().resolvedOptions().timeZone): void {
  zone = name !== null && name !== "" && known(name) ? name : undefined;
  own = here;
}

/** "today 14:05", "yesterday 09:30", "Tue 14:00" within six days either way, else "12 Nov, 14:05" (with the year when it is another). */
export function moment(at: number, now: number = Date.now()): string {
  const days = dayNumber(at) - dayNumber(now);
  const time = clock(at);
  if (days === 0) return Math.abs(now - at) < MINUTE_MS && at <= now ? t("views.time.now") : t("views.time.today", { time });
  if (days === -1) return t("views.time.yesterday", { time });
  if (days === 1) return t("views.time.tomorrow", { time });
  if (Math.abs(days) < 7) return `${part(at, { weekday: "short" })} ${time}`;
  const year = part(at, { year: "numeric" }) === part(now, { year: "numeric" }) ? {} : { year: "numeric" as const };
  return `${part(at, { day: "numeric", month: "short", ...year })}, ${time}`;
}

/** The time of day, with its zone where that is not the one of this browser. */
export function clock(at: number): string {
  return part(at, { hour: "numeric", minute: "2-digit", ...(elsewhere(at) ? { timeZoneName: "short" as const } : {}) });
}

/** A moment for paper, where nobody knows what today was: day, year, time and zone. */
export function stamp(at: number): string {
  return part(at, { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });
}

/** A line between messages of different days: "Today", "Yesterday", "Tuesday, 12 November". */
export function dayLine(at: number, now: number = Date.now()): string {
  const days = dayNumber(now) - dayNumber(at);
  if (days === 0) return t("common.today");
  if (days === 1) return t("common.yesterday");
  return part(at, { weekday: "long", day: "numeric", month: "long", ...(days > 300 ? { year: "numeric" as const } : {}) });
}

/** A calendar day given as YYYY-MM-DD, or as YYYY-MM or YYYY where no more is known. Never shifted by a zone. */
export function day(text: string): string {
  const found = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?/.exec(text);
  if (found === null) return text;
  const [, year, month, dayOfMonth] = found;
  const at = Date.UTC(Number(year), Number(month ?? 1) - 1, Number(dayOfMonth ?? 1));
  const shown: Intl.DateTimeFormatOptions = { timeZone: "UTC", year: "numeric" };
  if (month !== undefined) shown.month = "short";
  if (dayOfMonth !== undefined) shown.day = "numeric";
  return new Intl.DateTimeFormat(locale(), shown).format(at);
}

/** Bytes as people say them. */
export function size(octets: number): string {
  const unit = octets < 1_000_000 ? "kilobyte" : "megabyte";
  const number = unit === "kilobyte" ? Math.max(1, Math.round(octets / 1000)) : octets / 1_000_000;
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(number);
}

/** A measured number, never rounded: the digits the record holds. */
export function number(value: number): string {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: 12 }).format(value);
}

/** "Ana, Bob and Carol". */
export function list(names: readonly string[]): string {
  return new Intl.ListFormat(locale(), { type: "conjunction" }).format(names);
}

/** Whether two moments lie on the same day for the reader. */
export function sameDay(a: number, b: number): boolean {
  return dayNumber(a) === dayNumber(b);
}

/** A number as the path of a tel: link (RFC 3966). */
export function phoneUri(phone: string): string {
  return `tel:${phone.startsWith("+") ? "+" : ""}${phone.replace(/\D/g, "")}`;
}

function elsewhere(at: number): boolean {
  if (zone === undefined || zone === own) return false;
  const wall = { day: "numeric", hour: "numeric", minute: "numeric" } as const;
  return part(at, wall) !== part(at, { ...wall, timeZone: own });
}

function part(at: number, options: Intl.DateTimeFormatOptions): string {
  return formatter(locale(), options).format(at);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** Making a formatter costs a thousand times what using it does, and a long thread needs thousands. */
function formatter(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${language} ${zone ?? ""} ${JSON.stringify(options)}`;
  const made = formatters.get(name) ?? new Intl.DateTimeFormat(language, { ...(zone === undefined ? {} : { timeZone: zone }), ...options });
  formatters.set(name, made);
  return made;
}

/** The count of the calendar day in the reader's zone, so that days can be subtracted. */
/** The calendar day of a moment, as YYYY-MM-DD, where the reader is. */
export function dayOf(at: number): string {
  return formatter("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
}

function dayNumber(at: number): number {
  return Math.round(Date.parse(`${dayOf(at)}T00:00:00Z`) / DAY_MS);
}

function known(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
