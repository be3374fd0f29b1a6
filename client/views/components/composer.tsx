// Where a message is written. What it needs to know, and above all who will read it and when, stands around the box.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { list, phoneUri } from "../format.ts";
import { t } from "../i18n.ts";
import type { ChipView, FileView } from "../types.ts";
import { Banner, Button, Icon } from "./basics.tsx";
import { ChipRow } from "./chips.tsx";
import { PRIVATE_WORDS } from "./forms.tsx";

/** A group or person that can read the thread; `count` people stand behind a team. */
export interface ReaderLine {
  readonly name: string;
  readonly count: number | null;
  readonly people: readonly string[];
  /** To a patient, of a team: whether its keys were compared. */
  readonly compared?: string;
}

/** Who can read this: always in view above the composer; the people behind a team one click away. */
export function WhoCanRead({ readers, changed }: { readonly readers: readonly ReaderLine[]; readonly changed?: string }) {
  const names = readers.map((one) => (one.count === null ? one.name : t("views.readers.team", { name: one.name, count: one.count })));
  const people = readers.flatMap((one) => one.people);
  if (readers.length === 0) return null;
  const line = (
    <>
      <Icon name="lock" />
      <span>
        {t("views.readers.line", { names: list(names) })}
        {changed === undefined ? null : (
          <>
            {" "}
            <strong>{changed}</strong>
          </>
        )}
      </span>
    </>
  );
  const compared = readers.flatMap((one) => one.compared ?? []);
  if (people.length === 0) return <p class="readers readers__line">{line}</p>;
  return (
    <details class="readers">
      <summary class="readers__line">{line}</summary>
      <p>{t("views.readers.people", { names: list(people) })}</p>
      {compared.length === 0 ? null : <p>{compared.join(" ")} <a href="/compare">{t("compare.link")}</a></p>}
    </details>
  );
}

/** When the message will be read. `notice` is a sentence when nobody is there now; null while the pharmacy is open. */
export function HoursNotice({ notice, phone }: { readonly notice: string | null; readonly phone: string }) {
  if (notice === null) return <p class="small soft"><Icon name="clock" /> {t("views.composer.read-open")}</p>;
  return <Banner tone="warn" icon="clock" slim announce><p>{notice} <a class="nowrap" href={phoneUri(phone)}>{t("common.call", { phone })}</a></p></Banner>;
}

export interface EmergencyNumbers {
  readonly emergency: string | null;
  readonly poison: string | null;
  readonly pharmacy: string;
  readonly onCall: string | null;
}

/** Raised on the device when the words sound urgent, before sending. Sending anyway is always possible. */
export function UrgencyCard({ numbers, onSendAnyway, onBack }: {
  readonly numbers: EmergencyNumbers;
  readonly onSendAnyway: () => void;
  readonly onBack: () => void;
}) {
  const title = useId();
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    // It must be seen before anything else, wherever the page is scrolled to.
    card.current?.scrollIntoView({ block: "nearest" });
    card.current?.focus({ preventScroll: true });
  }, []);
  const lines: readonly [string, string | null][] = [
    ["emergency", numbers.emergency], ["poison", numbers.poison], ["on-call", numbers.onCall], ["pharmacy", numbers.pharmacy],
  ];
  return (
    <section class="emergency" role="alert" aria-labelledby={title} tabIndex={-1} ref={card}>
      <h2 id={title}><Icon name="warn" />{t("views.urgent.title")}</h2>
      <p>{t("views.urgent.body")}</p>
      <div class="emergency__numbers">
        {lines.map(([name, number], index) => number === null ? null : (
          <a key={name} class={index === 0 ? "call" : "call call--second"} href={phoneUri(number)}><small>{t(`views.urgent.${name}`)}</small>{number}</a>
        ))}
      </div>
      <div class="button-row">
        <Button look="quiet" onClick={onBack}>{t("views.urgent.back")}</Button>
        <Button look="plain" onClick={onSendAnyway}>{t("views.urgent.send-anyway")}</Button>
      </div>
      <p class="small soft">{t("views.urgent.local")}</p>
    </section>
  );
}

export interface ComposerProps {
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly onSend: () => void;
  readonly chips: readonly ChipView[];
  readonly onRemoveChip: (chip: ChipView) => void;
  readonly files: readonly FileView[];
  readonly onRemoveFile: (file: FileView) => void;
  readonly readers: readonly ReaderLine[];
  readonly readersChanged?: string;
  /** See HoursNotice; `undefined`: not shown (staff). */
  readonly hours?: {
    readonly notice: string | null;
    readonly phone: string;
    /** It stands below the newest message already, until somebody writes. */
    readonly said?: boolean;
  };
  /** Shown above everything, instead of the row of buttons, until the person decides. */
  readonly urgency?: { readonly numbers: EmergencyNumbers; readonly onSendAnyway: () => void; readonly onBack: () => void };
  readonly onAddMedicine?: () => void;
  readonly onAddOrder?: () => void;
  readonly onAddFiles?: (files: readonly File[]) => void;
  readonly replyTo?: { readonly who: string; readonly text: string; readonly onCancel: () => void };
  readonly correcting?: { readonly time: string; readonly onCancel: () => void };
  readonly draftSaved: boolean;
  readonly sending: boolean;
  /** Why nothing can be sent now, in words; null when it can. */
  readonly blocked: string | null;
  /** What went wrong with what was just done, such as a file that is too large. */
  readonly problem?: { readonly words: string; readonly onClose: () => void };
  /** Accepted by the file dialog. */
  readonly accept?: string;
  /** Staff: stands directly above the box. */
  readonly above?: ComponentChildren;
}

/** The composer. Ctrl or Command and Enter sends; a bare Enter is a new line, as in a letter. */
export function Composer(props: ComposerProps) {
  const id = useId();
  const picker = useRef<HTMLInputElement>(null);
  const { replyTo, correcting, onAddFiles } = props;
  const ready = props.blocked === null && !props.sending && (props.text.trim() !== "" || props.chips.length > 0 || props.files.length > 0);
  const camera = useRef<HTMLInputElement>(null);
  const chosen = (event: { readonly currentTarget: HTMLInputElement }): void => {
    const files = [...(event.currentTarget.files ?? [])];
    event.currentTarget.value = "";
    if (files.length > 0) onAddFiles?.(files);
  };
  // A medicine alone asks nothing: one tap after picking it must not send it off.
  const wordless = props.text.trim() === "" && props.files.length === 0;
  const [wanting, setWanting] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const send = () => {
    if (!ready) return;
    setWanting(wordless);
    if (wordless) box.current?.focus();
    else props.onSend();
  };
  const form = useRef<HTMLFormElement>(null);
  const [awake, setAwake] = useState(false);
  const begun = props.text !== "" || props.chips.length > 0 || props.files.length > 0 || replyTo !== undefined || correcting !== undefined;
  useEffect(() => {
    // Not by losing the focus alone: some telephones take it from the box before a button is pressed.
    const away = (event: PointerEvent): void => { if (!(event.target instanceof Node) || form.current?.contains(event.target) !== true) setAwake(false); };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, []);
  const foot = (
    <p class="small soft composer__foot">
      <span id={`${id}-aids`} class={props.draftSaved ? "sr-only" : ""}>
        {t("views.composer.aids-off")}
        {onAddFiles === undefined ? null : <span class="words-when-wide"> {t("views.composer.files-limit")}</span>}
      </span>
      <span role="status">{props.draftSaved ? t("views.composer.draft-saved") : ""}</span>
    </p>
  );
  return (
    <form
      ref={form}
      class={awake || begun || props.urgency !== undefined ? "composer no-print" : "composer composer--slim no-print"}
      onFocusIn={() => setAwake(true)}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {props.urgency === undefined ? null : <UrgencyCard {...props.urgency} />}
      {props.above}
      <WhoCanRead readers={props.readers} {...(props.readersChanged === undefined ? {} : { changed: props.readersChanged })} />
      {props.hours === undefined ? null : (
        <div class={props.hours.said === true ? "composer__hours composer__hours--said" : "composer__hours"}>
          <HoursNotice notice={props.hours.notice} phone={props.hours.phone} />
        </div>
      )}
      {props.problem === undefined ? null : (
        <Banner tone="warn" slim announce>
          <p>
            {props.problem.words}{" "}
            <Button look="plain" onClick={props.problem.onClose}>
              {t("common.close")}
            </Button>
          </p>
        </Banner>
      )}
      {wanting && wordless ? (
        <p class="field__error" role="alert">
          <Icon name="warn" />
          {t("views.composer.words-first")}
        </p>
      ) : null}
      {props.blocked === null ? null : (
        <Banner tone="warn" slim announce>
          <p>{props.blocked}</p>
        </Banner>
      )}
      <div class="composer__box">
        {replyTo === undefined ? null : (
          <p class="row small">
            <span class="soft">{t("views.message.reply-to", { who: replyTo.who })}:</span>{" "}
            <span translate={false} class="clip">
              {replyTo.text}
            </span>
            <Button look="plain" onClick={replyTo.onCancel}>
              {t("views.composer.cancel-reply")}
            </Button>
          </p>
        )}
        {correcting === undefined ? null : (
          <p class="row small">
            <Icon name="edit" /> {t("views.composer.correcting", { time: correcting.time })}{" "}
            <Button look="plain" onClick={correcting.onCancel}>
              {t("common.cancel")}
            </Button>
          </p>
        )}
        <label class="sr-only" for={id}>
          {t("views.composer.label")}
        </label>
        <textarea
          {...PRIVATE_WORDS}
          ref={box}
          id={id}
          class="area"
          rows={2}
          value={props.text}
          placeholder={t("views.composer.placeholder")}
          aria-describedby={`${id}-aids`}
          onInput={(event) => props.onText(event.currentTarget.value)}
          onKeyDown={(event) => {
            // The single letters of the workbench act outside of fields only: Escape leads out of this one.
            if (event.key === "Escape" && !event.isComposing) event.currentTarget.blur();
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
            event.preventDefault();
            send();
          }}
        />
        <ChipRow chips={props.chips} onRemove={props.onRemoveChip} />
        {props.files.map((file) => (
          <FileRow key={file.id} file={file} onRemove={() => props.onRemoveFile(file)} />
        ))}
      </div>
      {props.urgency === undefined ? (
        <div class="composer__row">
          {props.onAddMedicine === undefined ? null : <AddButton icon="pill" label={t("views.composer.medicine")} onClick={props.onAddMedicine} />}
          {props.onAddOrder === undefined ? null : <AddButton icon="box" label={t("views.composer.order")} onClick={props.onAddOrder} />}
          {onAddFiles === undefined ? null : (
            <>
              <AddButton icon="clip" label={t("views.composer.file")} title={t("views.composer.file-limit")} onClick={() => picker.current?.click()} />
              <input ref={picker} type="file" multiple hidden {...(props.accept === undefined ? {} : { accept: props.accept })} onChange={chosen} />
              {touched() ? (
                <>
                  <AddButton icon="image" label={t("views.composer.photo")} onClick={() => camera.current?.click()} />
                  <input ref={camera} type="file" accept="image/*" capture="environment" hidden onChange={chosen} />
                </>
              ) : null}
            </>
          )}
          {foot}
          <Button type="submit" icon="send" busy={props.sending} disabled={!ready} shortcut="Control+Enter">
            {t(props.sending ? "views.composer.sending" : "views.composer.send")}
          </Button>
        </div>
      ) : (
        foot
      )}
    </form>
  );
}

/** A telephone or tablet: it has a camera at hand. */
function touched(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

function AddButton({ icon, label, title = label, onClick }: {
  readonly icon: "pill" | "box" | "clip" | "image"; readonly label: string; readonly title?: string; readonly onClick: () => void;
}) {
  return <Button look="quiet" icon={icon} title={title} onClick={onClick}><span class="words-when-wide">{label}</span></Button>;
}

function FileRow({ file, onRemove }: { readonly file: FileView; readonly onRemove: () => void }) {
  const percent = Math.floor((file.progress ?? 1) * 100);
  return (
    <div class="file-row">
      <Icon name={file.failed ? "warn" : file.image === null ? "file" : "image"} />
      <span translate={false}>
        {file.failed ? t("views.file.failed", { name: file.name }) : file.name}
        {file.broken === true ? <small class="soft"> {t("views.file.broken")}</small> : null}
      </span>
      <button type="button" aria-label={t("views.file.remove", { name: file.name })} onClick={onRemove}>
        <Icon name="close" />
      </button>
      {file.progress === null ? null : <progress max={100} value={percent} aria-label={t("views.file.progress", { name: file.name, percent })} />}
    </div>
  );
}
