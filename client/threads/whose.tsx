// For whom something is written. Whoever acts for others reads it on every page, so that two people never mix.

import { useState } from "preact/hooks";

import { troubleWords } from "../frame/page.tsx";
import type { ActingFor } from "../live/api.ts";
import { Button, Icon } from "../views/components/basics.tsx";
import { Dialog } from "../views/components/dialog.tsx";
import { t } from "../views/i18n.ts";
import type { ContextModel } from "./context.ts";
import type { Desk } from "./desk.ts";
import type { ThreadModel } from "./thread.ts";

/** A patient by name; who has no account of their own by the record, or by how the two are related. */
export function patientName(one: ActingFor, context?: ContextModel): string {
  const panel = context === undefined || context.state.state === "loading" || context.patient !== one.patient ? null : context.state.panel;
  return one.name ?? panel?.patient.name ?? t(`threads.whose.${one.kind}`);
}

/** For whom this tab sent something last: the id of a patient and nothing else. */
const SENT_FOR = "portal-sent-for";

/** Remembers for whom something is sent. */
export function sentFor(desk: Desk, patient: string | undefined): void {
  if (patient !== undefined && desk.patients.length > 1) sessionStorage.setItem(SENT_FOR, patient);
}

/** For whom the last thing was sent, where that was somebody else: then it is asked before this goes out. */
export function switchedFrom(desk: Desk, patient: string | undefined): ActingFor | undefined {
  const last = sessionStorage.getItem(SENT_FOR);
  return patient === undefined || last === patient ? undefined : desk.patients.find((one) => one.patient === last);
}

/** Asks before something goes out for another person than the last thing did. */
export function Switching({ desk, patient, context, onSend, onBack }: {
  readonly desk: Desk;
  readonly patient: string;
  readonly context?: ContextModel | undefined;
  readonly onSend: () => void;
  readonly onBack: () => void;
}) {
  const now = desk.patients.find((one) => one.patient === patient);
  const before = switchedFrom(desk, patient);
  if (now === undefined || before === undefined) return null;
  const mine = now.kind === "self";
  const name = patientName(now, context);
  return (
    <Dialog
      title={mine ? t("threads.switch.title-me") : t("threads.switch.title", { name })}
      onClose={onBack}
      actions={
        <>
          <Button onClick={onSend}>{mine ? t("threads.switch.send-me") : t("threads.switch.send", { name })}</Button>
          <Button look="quiet" onClick={onBack}>{t("threads.switch.back")}</Button>
        </>
      }
    >
      <p>{before.kind === "self" ? t("threads.switch.before-me") : t("threads.switch.before", { name: patientName(before) })}</p>
    </Dialog>
  );
}

/** The patient lets somebody who acts for her into this conversation: from here on, or with all that was said before. */
export function LetIn({ desk, thread, id, onClose }: { readonly desk: Desk; readonly thread: ThreadModel; readonly id: string; readonly onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const name = desk.ready.directory.name(id) ?? t("threads.somebody");
  const go = (history: boolean): void => {
    setBusy(true);
    setProblem(null);
    desk.letCarerIn(thread, id, history).then((done) => (done ? onClose() : setProblem(t("threads.carer.not-in", { name }))),
      (error: unknown) => setProblem(troubleWords(error))).finally(() => setBusy(false));
  };
  return (
    <Dialog
      title={t("threads.carer.in.title", { name })}
      onClose={onClose}
      actions={
        <>
          <Button busy={busy} onClick={() => go(false)}>{t("threads.carer.in.from-here")}</Button>
          <Button look="quiet" busy={busy} onClick={() => go(true)}>{t("threads.carer.in.all")}</Button>
          <Button look="plain" onClick={onClose}>{t("common.cancel")}</Button>
        </>
      }
    >
      <p>{t("threads.carer.in.body", { name })}</p>
      {problem === null ? null : <p class="field__error" role="alert">{problem}</p>}
    </Dialog>
  );
}

/** The patient takes somebody who acts for her out of this conversation; what was read before stays read. */
export function TakeOut({ desk, thread, id, onClose }: {
  readonly desk: Desk; readonly thread: ThreadModel; readonly id: string; readonly onClose: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const name = desk.ready.directory.name(id) ?? t("threads.somebody");
  const go = (): void => {
    setBusy(true);
    setProblem(null);
    desk.takeCarerOut(thread, id).then((done) => (done ? onClose() : setProblem(t("threads.carer.not-out", { name }))),
      (error: unknown) => setProblem(troubleWords(error))).finally(() => setBusy(false));
  };
  return (
    <Dialog
      title={t("threads.carer.out.title", { name })}
      onClose={onClose}
      actions={
        <>
          <Button look="danger" busy={busy} onClick={go}>{t("threads.carer.out.do")}</Button>
          <Button look="quiet" onClick={onClose}>{t("common.cancel")}</Button>
        </>
      }
    >
      <p>{t("threads.carer.out.body", { name })}</p>
      {problem === null ? null : <p class="field__error" role="alert">{problem}</p>}
    </Dialog>
  );
}

/** The line that says for whom; nothing where there is only oneself. */
export function ForWhom({
  desk,
  patient,
  context,
}: {
  readonly desk: Desk;
  readonly patient: string | undefined;
  readonly context?: ContextModel | undefined;
}) {
  const one = desk.patients.find((other) => other.patient === patient);
  if (one === undefined || (desk.patients.length === 1 && one.kind === "self")) return null;
  return (
    <p class="for-whom">
      <Icon name="person" />{" "}
      {one.kind === "self" ? t("threads.whose.for-me") : <span translate={false}>{t("threads.whose.for", { name: patientName(one, context) })}</span>}
    </p>
  );
}
