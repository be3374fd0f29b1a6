// The queue: who waits, about what, since when. Built for the keyboard, and for a screen reader row by row.

import { useLayoutEffect } from "preact/hooks";

import { moment } from "../format.ts";
import { has, t } from "../i18n.ts";
import type { InboxRow, Turn } from "../types.ts";
import { type IconName, Tag, type Tone } from "./basics.tsx";

export interface InboxListProps {
  readonly rows: readonly InboxRow[];
  /** The thread shown beside; null when none is. */
  readonly current: string | null;
  readonly href: (thread: string) => string;
  readonly onOpen: (thread: string) => void;
}

const TURNS: Readonly<Record<Turn, { readonly tone?: Tone; readonly icon: IconName }>> = {
  "needs-answer": { tone: "warn", icon: "reply" }, wrote: { tone: "info", icon: "message" }, answered: { tone: "ok", icon: "check" }, waits: { icon: "clock" },
};

/** All rows as links, so that they open in a new tab too; a plain click stays in the page. */
export function InboxList({ rows, current, href, onOpen }: InboxListProps) {
  return (
    <ul class="queue" aria-label={t("views.inbox.label")}>
      {rows.map((row) => (
        <li key={row.thread}>
          <a
            class={look(row)}
            href={href(row.thread)}
            {...(row.thread === current ? { "aria-current": "true" as const } : {})}
            onClick={(event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
              event.preventDefault();
              onOpen(row.thread);
            }}
          >
            <span class="queue__who" translate={false}>
              {row.who}
            </span>
            <time class="queue__when" dateTime={new Date(row.lastAt).toISOString()}>
              {moment(row.lastAt)}
            </time>
            <span class="queue__subject" translate={false}>
              {row.subject ?? t("views.inbox.cannot-read")}
            </span>
            <span class="queue__last" translate={false}>
              {row.last ?? ""}
            </span>
            <span class="queue__tags">
              {row.urgent ? (
                <Tag tone="urgent" icon="warn">
                  {t("views.message.urgent")}
                </Tag>
              ) : null}
              {row.unread > 0 ? (
                <>
                  <span class="count" aria-hidden="true">
                    {row.unread}
                  </span>
                  <span class="sr-only">
                    {t("views.inbox.unread")}: {row.unread}
                  </span>
                </>
              ) : null}
              {row.waitsForKeys ? (
                <Tag icon="key">{t("views.inbox.waits-keys")}</Tag>
              ) : row.turn === null ? null : (
                <Tag {...TURNS[row.turn]}>{t(`views.inbox.${row.turn}`)}</Tag>
              )}
              <Tag>{topicName(row.topic)}</Tag>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** A topic in words; one of a newer version as it is. */
export function topicName(topic: string): string {
  return has(`views.topic.${topic}`) ? t(`views.topic.${topic}`) : topic;
}

export interface QueueKeys {
  readonly rows: readonly InboxRow[];
  readonly current: string | null;
  readonly onOpen: (thread: string) => void;
  /** r: to the composer. */
  readonly onWrite: () => void;
  /** i: context in or out. */
  readonly onContext: () => void;
  /** /: search, where there is one. */
  readonly onSearch?: () => void;
  /** Further single letters, such as c for claim. */
  readonly more?: Readonly<Record<string, () => void>>;
}

/** j, k, r, i, / and more, while nobody types and no dialog is open (WCAG 2.1.4: they only act outside of fields). */
export function useQueueKeys(keys: QueueKeys): void {
  // With each drawing at once, so that the next key meets the rows that are seen.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target) || document.querySelector("dialog[open]") !== null)
        return;
      const act = actOf(event.key, keys);
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });
}

function actOf(key: string, keys: QueueKeys): (() => void) | undefined {
  const at = keys.rows.findIndex((row) => row.thread === keys.current);
  const open = (index: number) => {
    const row = keys.rows[Math.max(0, Math.min(keys.rows.length - 1, index))];
    if (row !== undefined) keys.onOpen(row.thread);
  };
  if (key === "j") return () => open(at + 1);
  if (key === "k") return () => open(at < 0 ? 0 : at - 1);
  if (key === "r") return keys.onWrite;
  if (key === "i") return keys.onContext;
  if (key === "/") return keys.onSearch;
  return keys.more?.[key];
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

function look(row: InboxRow): string {
  return ["queue__row", row.unread > 0 ? "queue__row--unread" : "", row.urgent ? "queue__row--urgent" : ""].filter(Boolean).join(" ");
}
