// One message. To eyes and to screen readers alike it says who, when, and how far it has come.

import { memo } from "preact/compat";
import { useState } from "preact/hooks";

import { list, moment, number, phoneUri, size } from "../format.ts";
import { t } from "../i18n.ts";
import { reasonWords } from "../reasons.ts";
import type { ChipView, FileView, MessageState, MessageView, OddMessage, RetractedMessage, TextMessage } from "../types.ts";
import { Icon, type IconName, Tag } from "./basics.tsx";
import { ChipRow } from "./chips.tsx";
import { More } from "./more.tsx";

/** What a person may do with a message; each gets its key. Absent: not offered. */
export interface MessageActs {
  readonly onReply?: (key: string) => void;
  readonly onCorrect?: (key: string) => void;
  readonly onRetract?: (key: string) => void;
  readonly onPrint?: (key: string) => void;
  readonly onRetry?: (key: string) => void;
  readonly onDiscard?: (key: string) => void;
  readonly onOpenChip?: (chip: ChipView) => void;
  readonly onOpenFile?: (message: string, file: FileView) => void;
  readonly onGoTo?: (key: string) => void;
}

/** From so many letters on only the beginning is drawn. */
const LONG = 4_000;
const SHOWN = 2_000;

const STATE_ICON: Readonly<Record<MessageState, IconName>> = {
  waiting: "clock", sending: "send", failed: "warn", sent: "check", delivered: "check2", read: "eye", received: "check",
};

/** Key of the line that says when the newest message will be read. */
export const HOURS = "hours";

/** How far a message has come, in words. */
export function stateWords(message: MessageView): string {
  switch (message.kind) {
    case "text":
      return message.state === "read" ? t("views.message.state.read", { who: readers(message) }) : t(`views.message.state.${message.state}`);
    case "retracted": return t("views.message.retracted", { who: message.who, time: moment(message.retractedAt) });
    case "withheld": return t("views.message.withheld");
    case "newer": return t("views.message.newer");
    case "not-yet": return t("views.message.not-yet", { number: message.number, total: message.total });
    case "no-key": return t("views.message.no-key", { number: message.number, total: message.total });
    case "unreadable": return t("views.message.unreadable", { number: message.number, total: message.total, why: reasonWords(message.reason) });
    case "system": return message.text;
  }
}

/** One message of a thread; redrawn only when its value is another one. */
export const Message = memo(function Message({ message, acts }: { readonly message: MessageView; readonly acts: MessageActs }) {
  if (message.kind === "system") {
    return (
      <p class={message.key === HOURS ? "system-line system-line--hours" : "system-line"}>
        <Icon name={message.warn ? "warn" : "info"} />
        <span>
          {message.text}
          {message.phone === undefined ? null : (
            <>
              {" "}
              <a class="nowrap" href={phoneUri(message.phone)}>
                {t("common.call", { phone: message.phone })}
              </a>
            </>
          )}
        </span>
      </p>
    );
  }
  const label = t("views.message.label", { who: who(message), role: message.role, time: moment(message.at), state: stateWords(message) });
  const looks = ["bubble", message.mine ? "bubble--mine" : "", message.kind === "text" ? (message.urgent ? "bubble--urgent" : "") : "bubble--odd"];
  return (
    <article class={looks.filter(Boolean).join(" ")} aria-label={label} id={`message-${message.key}`} tabIndex={-1}>
      <header class="bubble__head">
        <span class="bubble__who">{who(message)}</span>
        {message.mine ? null : <span class="bubble__role">{message.role}</span>}
        <time dateTime={new Date(message.at).toISOString()} class="soft">
          {moment(message.at)}
        </time>
        {message.kind === "text" && message.urgent ? (
          <Tag tone="urgent" icon="warn">
            {t("views.message.urgent")}
          </Tag>
        ) : null}
        {message.kind === "text" ? <Acts message={message} acts={acts} /> : null}
      </header>
      {message.kind === "text" ? (
        <Text message={message} acts={acts} />
      ) : message.kind === "retracted" ? (
        <Retracted message={message} />
      ) : (
        <Odd message={message} />
      )}
    </article>
  );
});

function Text({ message, acts }: { readonly message: TextMessage; readonly acts: MessageActs }) {
  const { replyTo } = message;
  return (
    <>
      {replyTo === null ? null : (
        <button type="button" class="bubble__quote" onClick={() => acts.onGoTo?.(replyTo.key)}>
          <strong>{t("views.message.reply-to", { who: replyTo.who })}</strong> <span translate={false}>{shorten(replyTo.text)}</span>
        </button>
      )}
      {message.text === "" ? null : <Words text={message.text} />}
      <ChipRow chips={message.chips} onOpen={acts.onOpenChip} />
      {message.files.map((file) => (
        <Attached key={file.id} file={file} onOpen={() => acts.onOpenFile?.(message.key, file)} />
      ))}
      {message.foreignCorrection ? (
        <p class="small">
          <Icon name="warn" /> {t("views.message.correction-foreign")}
        </p>
      ) : null}
      <footer class="bubble__foot">
        {message.corrected === null ? null : (
          <span>
            <Icon name="edit" /> {t("views.message.corrected", { time: moment(message.corrected) })}
          </span>
        )}
        {message.state === "received" ? null : (
          <span class={message.state === "failed" ? "bubble__state bubble__state--failed" : "bubble__state"}>
            <Icon name={STATE_ICON[message.state]} />
            {stateWords(message)}
          </span>
        )}
        {message.why === undefined ? null : <span>{message.why}</span>}
        <Again message={message} acts={acts} />
      </footer>
    </>
  );
}

/** Very long words are drawn when they are wanted: the rest of the conversation stays within reach. */
function Words({ text }: { readonly text: string }) {
  const [whole, setWhole] = useState(false);
  const cut = text.length > LONG && !whole;
  return (
    <>
      <p class="bubble__text" translate={false}>{cut ? `${text.slice(0, SHOWN).trimEnd()}…` : text}</p>
      {cut ? <button type="button" class="bubble__whole" onClick={() => setWhole(true)}>{t("views.message.all", { size: number(text.length) })}</button> : null}
    </>
  );
}

type Act = readonly [name: string, icon: IconName, act: ((key: string) => void) | undefined];

/** What can be done with a message, behind one small button. */
function Acts({ message, acts }: { readonly message: TextMessage; readonly acts: MessageActs }) {
  const { can } = message;
  const all: readonly (readonly [boolean, ...Act])[] = [
    [can.reply, "reply", "reply", acts.onReply], [can.correct, "correct", "edit", acts.onCorrect],
    [can.retract, "retract", "undo", acts.onRetract], [can.print, "print", "print", acts.onPrint],
  ];
  const offered = all.filter(([may, , , act]) => may && act !== undefined);
  if (offered.length === 0) return null;
  return (
    <More label={t("views.message.more", { who: who(message), time: moment(message.at) })}>{() => offered.map(([, name, icon, act]) => (
      <button type="button" key={name} onClick={() => act?.(message.key)}><Icon name={icon} />{t(`views.message.${name}`)}</button>
    ))}</More>
  );
}

/** What did not go out asks to be looked at: its two ways on stand in the open. */
function Again({ message, acts }: { readonly message: TextMessage; readonly acts: MessageActs }) {
  if (message.state !== "failed" && message.state !== "waiting") return null;
  return (
    <span class="bubble__acts no-print">
      {acts.onRetry === undefined ? null : <button type="button" onClick={() => acts.onRetry?.(message.key)}>{t("views.message.retry")}</button>}
      {acts.onDiscard === undefined ? null : <button type="button" onClick={() => acts.onDiscard?.(message.key)}>{t("views.message.discard")}</button>}
    </span>
  );
}

function Attached({ file, onOpen }: { readonly file: FileView; readonly onOpen: () => void }) {
  const label = t("views.file.download", { name: file.name, size: size(file.size) });
  return (
    <div class="stack-tight">
      {file.image === null ? null : <img class="bubble__image" src={file.image} alt={t("views.file.image", { name: file.name })} />}
      <button type="button" class="bubble__file" onClick={onOpen}>
        <Icon name={file.image === null ? "file" : "image"} />
        <span translate={false}>{label}</span>
      </button>
    </div>
  );
}

function Retracted({ message }: { readonly message: RetractedMessage }) {
  return (
    <>
      <p><Icon name="undo" /> <em>{stateWords(message)}</em></p>
      {message.readBefore.length === 0 ? null : <p class="small">{t("views.message.retracted-read", { who: list(message.readBefore) })}</p>}
      {message.kept === null ? null : (
        <details class="small"><summary>{t("views.message.retracted-show")}</summary><p class="bubble__text" translate={false}>{message.kept}</p></details>
      )}
    </>
  );
}

function Odd({ message }: { readonly message: OddMessage }) {
  return (
    <>
      <p><Icon name={message.kind === "no-key" || message.kind === "not-yet" ? "lock" : "warn"} /> {stateWords(message)}</p>
      {message.kind === "unreadable" ? <><p class="small soft">{t("views.message.unreadable-next")}</p><ReasonCode reason={message.reason} /></> : null}
    </>
  );
}

/** What the protocol calls it, for whoever helps by telephone. */
export function ReasonCode({ reason }: { readonly reason: string }) {
  return <p class="small soft reason-code" translate={false}>{t("views.reason.code", { reason })}</p>;
}

function who(message: { readonly mine: boolean; readonly who: string }): string {
  return message.mine ? t("views.message.you") : message.who;
}

function readers(message: TextMessage): string {
  return list(message.readBy.map((one) => `${one.name} (${moment(one.at)})`));
}

function shorten(text: string): string {
  const letters = [...text];
  return letters.length > 90 ? `${letters.slice(0, 90).join("")}…` : text;
}
