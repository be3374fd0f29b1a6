// How a conversation stands: what is checked of it, what is held until somebody has made sure, what is not sent, and that it is missing.

import { useEffect, useState } from "preact/hooks";

import { troubleWords } from "../frame/page.tsx";
import { isOfTheLine } from "../live/api.ts";
import { Banner, Button, EmptyState, LinkButton } from "../views/components/basics.tsx";
import { ReasonCode } from "../views/components/message.tsx";
import { moment, phoneUri } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import { reasonWords } from "../views/reasons.ts";
import type { Desk } from "./desk.ts";
import { memberName } from "./readers.ts";
import type { Parcel } from "./send.ts";
import type { Pending } from "./show.ts";
import { MadeSure } from "./sure.tsx";
import type { ThreadModel } from "./thread.ts";
import { birthOf, bodyOfParcel } from "./unsent.ts";

/** How sure the page is of what it shows. */
export function Standing({ thread, phone, staff }: { readonly thread: ThreadModel; readonly phone: string | null; readonly staff: boolean }) {
  const { opening } = thread;
  if (opening.kind === "checking") return <Banner slim icon="lock"><p>{t("threads.checking", { percent: Math.floor(opening.share * 100) })}</p></Banner>;
  if (opening.kind === "refused") {
    const key = `threads.refused.${opening.reason}`;
    return (
      <Banner tone="urgent" title={t("threads.refused.title")} announce>
        <p>{t(has(key) ? key : "threads.refused.other", { why: reasonWords(opening.reason) })}</p>
        <ReasonCode reason={opening.reason} />
        <div class="button-row">
          <Button look="quiet" onClick={() => location.reload()}>
            {t("common.try-again")}
          </Button>
          {phone === null ? (
            <LinkButton look="quiet" href="/contact">
              {t("common.nav.contact")}
            </LinkButton>
          ) : (
            <LinkButton look="quiet" icon="phone" href={phoneUri(phone)}>
              {t("common.call", { phone })}
            </LinkButton>
          )}
        </div>
      </Banner>
    );
  }
  if (staff && thread.info?.members.some((one) => one.undone === true) === true) {
    return <Banner tone="warn" icon="stop" title={t("threads.undone.title")}><p>{t("threads.undone.body")}</p></Banner>;
  }
  if (staff && thread.info?.waits_for_keys === true) return <Banner slim icon="key"><p>{t("threads.waits-for-keys")}</p></Banner>;
  return null;
}

/** Somebody started again: nothing is sent before a person has made sure who it is. */
export function Held({ desk, thread }: { readonly desk: Desk; readonly thread: ThreadModel }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const { directory } = desk.ready;
  const birth = birthOf(desk, thread.id);
  const [, setKnown] = useState(false);
  useEffect(() => {
    if (birth === undefined) return;
    // A new question may have been held on the page before: whose keys they are is not known on this one yet.
    desk.know(birth.members.map((one) => one.id)).then(() => setKnown(true), (error: unknown) => { if (!isOfTheLine(error)) throw error; });
  }, [thread.id, birth === undefined]);
  const member = thread.unconfirmed() ?? birth?.members.find((one) => directory.sendingHeld(one.id));
  // Where the keys do not verify the conversation may not open at all, and whom it lists is the server's word.
  const doubtful = [...(member === undefined ? [] : [member]), ...(thread.info?.members ?? [])].find((one) => directory.notVerified(one.id));
  if (doubtful !== undefined) return <NotVerified desk={desk} id={doubtful.id} />;
  if (member === undefined) return null;
  const held = member;
  const since = directory.newKeysSince(held.id);
  const name = held.id === desk.me ? t("views.message.you") : directory.name(held.id) ?? t("threads.somebody");
  const title = since === undefined ? t("threads.held.title", { name }) : t("threads.held.since", { name, time: moment(since) });
  const sure = (): Promise<void> => desk.confirm(held, thread.info?.patient ?? birth?.patient ?? "");
  // Under an old epoch every reader asks for a pharmacist's word; in a new conversation whoever writes to the new keys may make sure.
  if (thread.startedAgain() !== undefined ? !thread.mayVouch() : !desk.staff && held.id === desk.me) {
    return (
      <Banner tone="warn" icon="key" announce title={held.id === desk.me ? t("threads.held.own") : title}>
        <p>{t(held.id === desk.me ? "threads.held.own-body" : "threads.held.patient")}</p>
        <div class="button-row"><LinkButton look="quiet" href="/new">{t("views.inbox.new")}</LinkButton></div>
      </Banner>
    );
  }
  return (
    <Banner tone="warn" icon="key" announce title={title}>
      <p>{t(desk.staff ? "threads.held.body" : "threads.held.body-other", { name })}</p>
      {problem === null ? null : <p class="field__error" role="alert">{problem}</p>}
      {desk.saysWho ? <MadeSure desk={desk} account={held.id} name={name} onSure={sure} /> : (
        <Button busy={busy} onClick={() => {
          setBusy(true);
          setProblem(null);
          sure().catch((error: unknown) => setProblem(troubleWords(error))).finally(() => setBusy(false));
        }}>{t("threads.held.confirm", { name })}</Button>
      )}
    </Banner>
  );
}

/**
 * The keys that the server shows do not verify, or are others than before, or this person has compared them and they were not the
 * same: nothing is sent to them before they are compared and are.
 */
function NotVerified({ desk, id }: { readonly desk: Desk; readonly id: string }) {
  const name = memberName(desk, id);
  const compared = desk.ready.directory.compared(id)?.same === false;
  const phone = desk.pharmacy(id.slice(0, Math.max(0, id.lastIndexOf("_"))))?.phone;
  return (
    <Banner tone="warn" icon="key" announce title={t(compared ? "compare.held-title" : "threads.fault.title", { name })}>
      <p>{t(compared ? "compare.held-body" : "threads.fault.body")}</p>
      <div class="button-row">
        {desk.staff ? null : <LinkButton look="quiet" href="/compare">{t("compare.link")}</LinkButton>}
        {phone === undefined ? <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton> : (
          <LinkButton look="quiet" icon="phone" href={phoneUri(phone)}>{t("common.call", { phone })}</LinkButton>
        )}
        <LinkButton look="quiet" icon="stop" href="/something-wrong">{t("wrong.link")}</LinkButton>
      </div>
    </Banner>
  );
}

/** Corrections and retractions that are not sent yet: they have no place of their own in the list. */
export function Changes({ desk, thread }: { readonly desk: Desk; readonly thread: ThreadModel }) {
  const waiting = desk.outbox.list(thread.id).filter((one) => bodyOfParcel(one.parcel as Parcel)?.kind !== "text");
  if (waiting.length === 0) return null;
  const failed = waiting.filter((one) => one.facts.state === "failed");
  return (
    <Banner slim tone={failed.length > 0 ? "warn" : "info"} announce>
      <p>{t(failed.length > 0 ? "threads.change.failed" : "threads.change.waiting")}</p>
      {failed.length === 0 ? null : (
        <div class="button-row">
          <Button look="quiet" onClick={() => { for (const one of failed) void desk.outbox.retry(one.id); }}>{t("views.message.retry")}</Button>
          <Button look="plain" onClick={() => { for (const one of failed) void desk.outbox.remove(one.id); }}>{t("views.message.discard")}</Button>
        </div>
      )}
    </Banner>
  );
}

/** A conversation that is not there, or whose keys are gone. */
export function Missing({ desk, lost, unsent }: { readonly desk: Desk; readonly lost: boolean; readonly unsent: readonly Pending[] }) {
  return (
    <div class="pane">
      {unsent.length === 0 ? null : (
        <Banner tone="warn" announce title={t("threads.missing.unsent")}>
          <div class="button-row">
            <Button
              look="quiet"
              onClick={() => {
                for (const one of unsent) void desk.outbox.remove(one.id);
              }}
            >
              {t("views.message.discard")}
            </Button>
          </div>
        </Banner>
      )}
      <EmptyState
        icon={lost ? "key" : "message"}
        heading
        title={t(lost ? "threads.lost.title" : "threads.missing.title")}
        action={
          <div class="button-row">
            <LinkButton href={desk.staff ? "/inbox" : "/messages"}>{t("threads.missing.back")}</LinkButton>
            <LinkButton look="quiet" href="/contact">
              {t("common.nav.contact")}
            </LinkButton>
          </div>
        }
      >
        {t(lost ? "threads.lost.body" : "threads.missing.body")}
      </EmptyState>
    </div>
  );
}
