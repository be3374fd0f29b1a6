// The JSON routes, typed enough to be read: problems become ApiError with their code, a locked or ended session one event.

/** GET /api/session. */
export interface SessionState {
  readonly state: "anonymous" | "active" | "locked";
  readonly csrf: string;
  readonly now: string;
  readonly account: Account | null;
  readonly patients: readonly ActingFor[];
  readonly device: string | null;
  readonly device_challenge: string | null;
  readonly lock_at: string | null;
  readonly ends_at: string | null;
  /** Seconds before the lock at which to warn. */
  readonly warn_before: number;
  /** Seconds between two tellings that the person did something. */
  readonly tell_every: number;
  /** On a device that others use too. */
  readonly shared: boolean;
  /** Wrong PINs there, of which the person has not said yet that they were seen. */
  readonly wrong_pins: { readonly count: number; readonly last_at: string } | null;
}

/** A patient for whom the person acts. */
export interface ActingFor {
  readonly patient: string;
  readonly kind: "self" | "child" | "parent" | "carer";
  readonly scope: string;
  /** The patient's own account and its name; null for who has none. */
  readonly account: string | null;
  readonly name: string | null;
}

export interface Account {
  readonly id: string;
  readonly role: "patient" | "pharmacist" | "technician" | "supervisor" | "privacy" | "operator";
  readonly name: string;
  readonly language: string;
  readonly time_zone: string | null;
  readonly large_text: boolean;
  readonly pharmacy: string | null;
}

/** A refusal of the server (RFC 9457). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** What programs go by: `step-up`, `moved-vault`, `rekey` … */
    readonly code: string,
    /** A sentence for the person, in the person's language. */
    readonly detail: string,
    /** All members of the answer, for `rev`, `gen`, `seq`, `reason`, `account` … */
    readonly extra: Readonly<Record<string, unknown>>,
    /** Seconds to wait, where the server says so. */
    readonly retryAfter: number | null,
  ) {
    super(`${status} ${code}`);
    this.name = "ApiError";
  }
}

/** The server could not be reached at all. */
export class Unreachable extends Error {
  constructor() {
    super("the server cannot be reached");
    this.name = "Unreachable";
  }
}

/** Whether the server refused or could not be reached: what may happen any day, and is told. Anything else is our fault. */
export function isOfTheLine(error: unknown): error is ApiError | Unreachable {
  return error instanceof ApiError || error instanceof Unreachable;
}

/** Whether an error is this refusal of the server. */
export function isCode(error: unknown, ...codes: readonly string[]): error is ApiError {
  return error instanceof ApiError && codes.includes(error.code);
}

/** Heard on `sessionEvents` when an answer says that the session is locked, or no longer there. */
export type SessionEnd = "locked" | "ended";
export const sessionEvents = new EventTarget();

const TRIES = 4;
const FIRST_WAIT_MS = 400;
const SESSION = "/api/session";
let token: string | undefined;
let speaker: string | undefined;

/**
 * From now on this page speaks for one person. Where another one has come in meanwhile (browsers are shared), the server refuses:
 * nothing of the one gets into the other's page.
 */
export function speakFor(account: string): void {
  speaker = account;
}

/** Who is signed in here; never throws 401. Also renews the token for changes. */
export async function readSession(): Promise<SessionState> {
  const state = await get<SessionState>(SESSION);
  token = state.csrf;
  return state;
}

/** Reads JSON. Tries again on network errors and 503, with growing pauses. */
export async function get<T>(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await request<T>("GET", path, undefined, {}, options.signal);
    } catch (error) {
      const passing = error instanceof Unreachable || (error instanceof ApiError && error.status === 503);
      if (!passing || tried >= TRIES || options.signal?.aborted === true) throw error;
      await pause(FIRST_WAIT_MS * 2 ** (tried - 1));
    }
  }
}

/** What a change may carry besides its body. */
export interface ChangeOptions {
  /** Idempotency-Key: the same key with the same bytes is done once and answered alike. */
  readonly key?: string;
  readonly signal?: AbortSignal;
}

export function post<T>(path: string, body: unknown = {}, options: ChangeOptions = {}): Promise<T> {
  return change<T>("POST", path, JSON.stringify(body), "application/json", options);
}

export function put<T>(path: string, body: unknown, options: ChangeOptions = {}): Promise<T> {
  return change<T>("PUT", path, JSON.stringify(body), "application/json", options);
}

/** Sends bytes (a part of an attachment). */
export function putBytes<T>(path: string, bytes: Uint8Array<ArrayBuffer>, options: ChangeOptions = {}): Promise<T> {
  return change<T>("PUT", path, bytes, "application/octet-stream", options);
}

export function remove(path: string): Promise<void> {
  return change<void>("DELETE", path, undefined, "application/json", {});
}

async function change<T>(
  method: string, path: string, body: BodyInit | undefined, type: string, { key, signal }: ChangeOptions,
): Promise<T> {
  if (token === undefined) await readSession();
  const headers = (): Record<string, string> => ({
    "Content-Type": type, "X-CSRF-Token": token ?? "", ...(key === undefined ? {} : { "Idempotency-Key": key }),
  });
  try {
    return await request<T>(method, path, body, headers(), signal);
  } catch (error) {
    if (!isCode(error, "csrf")) throw error;
    // The session was renewed in another tab, and its token with it.
    await readSession();
    return request<T>(method, path, body, headers(), signal);
  }
}

/** Says whose page asks: a page of somebody who is not signed in here any more is given nothing. */
export function speaking(): Record<string, string> {
  return speaker === undefined ? {} : { "Portal-Account": speaker };
}

async function request<T>(
  method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}, signal?: AbortSignal,
): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method, headers: { Accept: "application/json", ...(path === SESSION ? {} : speaking()), ...headers },
      credentials: "same-origin", cache: "no-store",
      redirect: "error", ...(body === undefined ? {} : { body }), ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new Unreachable();
  }
  if (answer.status === 204) return undefined as T;
  const said: unknown = await answer.json().catch(() => null);
  if (answer.ok) return said as T;
  throw refusal(answer, said);
}

function refusal(answer: Response, said: unknown): ApiError {
  const members = typeof said === "object" && said !== null ? (said as Record<string, unknown>) : {};
  const code = typeof members["code"] === "string" ? members["code"] : `status-${answer.status}`;
  const detail = typeof members["detail"] === "string" ? members["detail"] : "";
  const wait = Number(answer.headers.get("Retry-After"));
  if (answer.status === 401) {
    const end: SessionEnd = code === "locked" ? "locked" : "ended";
    sessionEvents.dispatchEvent(new CustomEvent<SessionEnd>("end", { detail: end }));
  }
  return new ApiError(answer.status, code, detail, members, Number.isFinite(wait) && wait > 0 ? wait : null);
}

/** Waits between half and all of `milliseconds`, so that many browsers do not come back at once. */
export function pause(milliseconds: number): Promise<void> {
  const part = (crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32 + 1) / 2;
  return new Promise((resolve) => { setTimeout(resolve, milliseconds * part); });
}
