// A shared device that is locked: whoever was here comes back with a PIN, or another of its people takes a turn. Nothing of anyone
// stands on this page but names and roles.

import { useEffect, useState } from "preact/hooks";

import { isPin } from "../crypto/guard.ts";
import type { KeptDevice } from "../keys/guarded.ts";
import { type Opening, WrongPin, guardedDevice, lockOfSession, openDevice, withPasskey, withPin } from "../keys/guarding.ts";
import { keptGuards, keptPlace } from "../keys/local.ts";
import { leaveFor } from "../keys/unlock.ts";
import { PasskeyTrouble, knowsPasskeys } from "../keys/webauthn.ts";
import { type Account, type SessionState, get, isCode, post, readSession } from "../live/api.ts";
import { Loading, TroubleInside, startBarePage, troubleWords } from "../frame/page.tsx";
import { Store } from "../store/db.ts";
import { Banner, Button, LinkButton } from "../views/components/basics.tsx";
import { ErrorSummary, PinField } from "../views/components/forms.tsx";
import { t } from "../views/i18n.ts";
import { isPlace, onward, passkeyWords } from "./parts/root.tsx";

/** Who is expected at this device, and what opens it. */
interface Expected {
  readonly session: SessionState;
  readonly account: Account;
  readonly store: Store;
  readonly device: KeptDevice;
  /** Whether a PIN is there at all; it goes after too many wrong ones. */
  readonly pin: boolean;
  /** Whether a passkey opens it too. */
  readonly passkey: boolean;
}

/** One of the people of this browser. */
interface Tile {
  readonly account: string;
  readonly name: string;
  readonly role: string;
  /** Whether the session is still there; else it takes a login. */
  readonly signed_in: boolean;
  readonly current: boolean;
}

/** What the page shows: the people of this browser, and whose PIN is asked for. */
interface Found {
  readonly tiles: readonly Tile[];
  readonly expected: Expected | undefined;
}

async function find(session: SessionState): Promise<Found> {
  const { account } = session;
  const next = onward("/");
  const tiles = (await get<{ items: readonly Tile[] }>("/api/browser")).items;
  if (account === null) return tiles.length === 0 ? leaveFor("/login", { next }) : { tiles, expected: undefined };
  const store = await Store.open(account.id);
  const device = await guardedDevice(store);
  // Not a shared device for this person: a locked session opens by the login, another one by what its pages say.
  if (device === undefined) return session.state === "locked" ? leaveFor("/unlock", { next }) : leaveFor(next);
  if (session.state === "active" && (await lockOfSession(session, store, account.id, device)) !== undefined) return leaveFor(await wayOn(store));
  const guards = (await keptGuards(store)).map((guard) => guard.method);
  const passkey = guards.includes("passkey") && knowsPasskeys();
  return { tiles, expected: { session, account, store, device, pin: guards.includes("pin"), passkey } };
}

/** Where the person goes on: what the address says, else where they were. */
async function wayOn(store: Store): Promise<string> {
  const kept = await keptPlace(store);
  return onward(kept !== undefined && isPlace(kept) ? kept : "/");
}

function Lock({ session }: { readonly session: SessionState }) {
  const [found, setFound] = useState<Found | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [gone, setGone] = useState(false);
  useEffect(() => { find(session).then(setFound, setError); }, []);
  if (error !== undefined) return <TroubleInside error={error} />;
  if (found === undefined) return <Loading words={t("keys.lock.looking")} />;
  const { tiles, expected } = found;
  const others = tiles.filter((tile) => tile.account !== expected?.account.id);
  return (
    <div class="narrow stack-wide">
      {expected === undefined ? <h1>{t("keys.lock.who")}</h1> : (
        <div class="stack">
          <h1>{t("keys.lock.title")}</h1>
          <p class="lead" translate={false}>{expected.account.name}</p>
          {gone || !expected.pin ? <PinGone expected={expected} now={gone} /> : <PinForm expected={expected} onGone={() => setGone(true)} />}
          {expected.passkey ? <ByPasskey expected={expected} /> : null}
        </div>
      )}
      <People others={others} all={tiles} onTrouble={setError} alone={expected === undefined} />
    </div>
  );
}

/** The others of this browser, and the way in for somebody new. */
function People({ others, all, alone, onTrouble }: {
  readonly others: readonly Tile[]; readonly all: readonly Tile[]; readonly alone: boolean; readonly onTrouble: (error: unknown) => void;
}) {
  const choose = async (tile: Tile): Promise<void> => {
    const { signed_in } = await post<{ signed_in: boolean }>("/api/browser/choose", { account: tile.account });
    location.replace(signed_in ? "/lock" : "/login?next=/");
  };
  const somebodyNew = async (): Promise<void> => {
    await post("/api/browser/leave");
    location.assign("/login");
  };
  const remove = async (tile: Tile): Promise<void> => {
    if (!confirm(t("keys.lock.remove-sure", { name: tile.name }))) return;
    await post("/api/browser/remove", { account: tile.account });
    location.replace("/lock");
  };
  return (
    <section class="stack" aria-labelledby="others">
      {alone ? null : <h2 id="others">{t("keys.lock.others")}</h2>}
      {others.length === 0 ? null : (
        <ul class="tiles" {...(alone ? { "aria-label": t("keys.lock.who") } : {})}>
          {others.map((tile) => (
            <li key={tile.account}>
              <button type="button" class="tile" data-person={tile.account} onClick={() => choose(tile).catch(onTrouble)}>
                <span class="initials" aria-hidden="true">{initials(tile.name)}</span>
                <span>
                  <strong translate={false}>{tile.name}</strong>
                  <span class="tile__hint">{t(`common.role.${tile.role}`)}{tile.signed_in ? "" : ` · ${t("keys.lock.signs-in")}`}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="button-row"><Button look="quiet" icon="person" onClick={() => void somebodyNew().catch(onTrouble)}>{t("keys.lock.new")}</Button></div>
      {all.length === 0 ? null : (
        <details class="card card--plain">
          <summary>{t("keys.lock.remove-title")}</summary>
          <p>{t("keys.lock.remove-body")}</p>
          <div class="button-row">
            {all.map((tile) => (
              <Button key={tile.account} look="quiet" onClick={() => void remove(tile).catch(onTrouble)}>
                {t("keys.lock.remove-do", { name: tile.name })}
              </Button>
            ))}
          </div>
        </details>
      )}
    </section>
  );
}

/** The first letters of the first and the last word of a name. */
function initials(name: string): string {
  const words = name.split(/\s+/u).filter(Boolean);
  return [...new Set([words[0], words.at(-1)])].map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase();
}

/** Opens the device of whom the page expects, and goes on where the person was. */
async function openAs({ account, store, device }: Expected, opening: Opening): Promise<void> {
  // The challenge may have changed since this page was loaded: the lock itself changes it.
  const session = await readSession();
  if (session.account?.id !== account.id) return location.reload();
  await openDevice(store, account.id, device, opening);
  location.replace(await wayOn(store));
}

/** The person's phone or security key instead of the PIN. */
function ByPasskey({ expected }: { readonly expected: Expected }) {
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const open = async (): Promise<void> => {
    if (busy) return;
    setProblem(undefined);
    setBusy(true);
    try {
      await openAs(expected, withPasskey(expected.store));
    } catch (error) {
      setBusy(false);
      const wrong = error instanceof WrongPin || isCode(error, "guard-gone");
      const stopped = error instanceof PasskeyTrouble && error.fault === "cancelled";
      setProblem(wrong ? t("keys.passkey.wrong") : stopped ? t("keys.lock.stopped") : passkeyWords(error));
    }
  };
  return (
    <>
      {problem === undefined ? null : <Banner tone="warn" announce title={t("keys.passkey.did-not")}><p>{problem}</p></Banner>}
      {busy ? <Loading words={t("keys.passkey.busy")} /> : null}
      <div class="button-row"><Button look="quiet" icon="key" busy={busy} onClick={() => void open()}>{t("keys.lock.passkey")}</Button></div>
    </>
  );
}

function PinForm({ expected, onGone }: { readonly expected: Expected; readonly onGone: () => void }) {
  const [pin, setPin] = useState("");
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  useEffect(() => { document.getElementById("pin")?.focus(); }, []);
  const open = async (): Promise<void> => {
    if (busy) return;
    setProblem(undefined);
    if (!isPin(pin)) return setProblem(t("keys.pin.form"));
    setBusy(true);
    try {
      await openAs(expected, withPin(pin));
    } catch (error) {
      setBusy(false);
      setPin("");
      if (isCode(error, "guard-gone")) return onGone();
      setProblem(error instanceof WrongPin ? t("keys.pin.wrong", { count: error.left }) : troubleWords(error));
    }
  };
  return (
    <form class="stack" noValidate onSubmit={(event) => { event.preventDefault(); void open(); }}>
      <ErrorSummary problems={problem === undefined ? [] : [{ field: "pin", text: problem }]} />
      <PinField id="pin" label={t("keys.pin.label")} hint={t("keys.pin.hint")} value={pin} onInput={setPin} error={problem} />
      {busy ? <Loading words={t("keys.pin.busy")} /> : null}
      <div class="button-row">
        <Button type="submit" big busy={busy}>{t("keys.over.locked-do")}</Button>
        <LinkButton look="quiet" href={otherWay(expected)}>{t("keys.pin.forgot")}</LinkButton>
      </div>
    </form>
  );
}

/** The PIN is deleted: what to do next. */
function PinGone({ expected, now }: { readonly expected: Expected; readonly now: boolean }) {
  return (
    <>
      <Banner tone="warn" announce={now} title={t("keys.pin.gone")}>
        <p>{t("keys.pin.gone-body")}</p>
      </Banner>
      <div class="button-row">
        <LinkButton big href={otherWay(expected)}>{t(expected.session.state === "locked" ? "keys.pin.gone-sign-in" : "keys.pin.gone-code")}</LinkButton>
        <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton>
      </div>
    </>
  );
}

/** By sign-in, if the session is locked, to the ways back: they make this browser a new device. */
function otherWay({ session }: Expected): string {
  const recover = `/recover?${new URLSearchParams({ next: onward("/"), why: "pin" }).toString()}`;
  return session.state === "locked" ? `/unlock?${new URLSearchParams({ next: recover }).toString()}` : recover;
}

await startBarePage({ title: "keys.lock.title", view: (session) => <Lock session={session} /> });
