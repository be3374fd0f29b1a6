// A thread of any length: the newest part is drawn at once, older parts as the reader nears them, and the place is kept.

import { Fragment } from "preact";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { dayLine, sameDay } from "../format.ts";
import { t } from "../i18n.ts";
import type { MessageView } from "../types.ts";
import { Button, LiveRegion, Spinner } from "./basics.tsx";
import { HOURS, Message, type MessageActs, stateWords } from "./message.tsx";

/** Drawn at once; 50 bubbles stay well below one frame budget of 50 ms. */
const STEP = 50;
/** Drawn first of all: they fill any screen, and the rest of the first 50 comes in a task of its own. */
const FIRST = 15;
/** How near, in pixels, the reader comes to an end before the next part is drawn or the end counts as reached. */
const NEAR_TOP_PX = 900;
const NEAR_END_PX = 80;

export interface MessageListProps {
  /** Oldest first. May grow at both ends. */
  readonly messages: readonly MessageView[];
  readonly acts: MessageActs;
  /** The first message the person has not read; a line stands above it. */
  readonly firstUnread: string | null;
  /** Older ones lie on the server. */
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  readonly onOlder: () => void;
  /** Where the reader stood before the screen was locked: begins there instead. */
  readonly at?: Place | null;
  /** Given what tells where the reader stands, null at the end. */
  readonly onPlace?: (where: () => Place | null) => void;
  /** Called when the end comes into view: the moment to send a read receipt. */
  readonly onSeenEnd?: () => void;
}

/** The first message in view and how far below the upper edge it stands, in pixels. */
export interface Place {
  readonly key: string;
  readonly top: number;
}

/** What stays where it is: the end, the line above what is new until somebody scrolls, or the message somebody scrolled to. */
type Anchor = { readonly at: "end" | "line" } | { readonly at: "message"; readonly place: Place };

/** Drawn again only when one of its values is another one: a word typed below it costs nothing here. */
export const MessageList = memo(function MessageList({
  messages,
  acts,
  firstUnread,
  hasOlder,
  loadingOlder,
  onOlder,
  at = null,
  onPlace,
  onSeenEnd,
}: MessageListProps) {
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLOListElement>(null);
  const place = useRef<Place | null>(null);
  const anchor = useRef<Anchor>(at === null ? { at: "end" } : { at: "message", place: at });
  /** The person has chosen a place: by scrolling, or by writing. */
  const moved = useRef(false);
  const settled = useRef({ top: 0, height: 0, client: 0 });
  const asked = useRef(false);
  const opened = useRef(false);
  const [from, setFrom] = useState<string | null>(at?.key ?? null);
  const [whole, setWhole] = useState(false);
  const [missed, setMissed] = useState(0);
  const last = messages.findLast((one) => one.key !== HOURS);
  const lastKey = last?.key ?? "";
  const seenLast = useRef(lastKey);

  const start = startOf(messages, from, firstUnread, whole ? STEP : FIRST);
  const shown = messages.slice(start);
  const more = start > 0 || hasOlder;

  const showOlder = () => {
    const scroller = box.current;
    if (scroller === null) return;
    if (start > 0) {
      place.current = topmost(scroller);
      setFrom(messages[Math.max(0, start - STEP)]?.key ?? null);
    } else if (hasOlder && !loadingOlder) {
      // The first one shown stays the first one shown until what was asked for has come.
      setFrom(messages[0]?.key ?? null);
      asked.current = true;
      onOlder();
    }
  };

  /** Puts the list where its anchor is, whatever has changed its size: a picture, the card above the box, a keyboard. */
  const settle = () => {
    const scroller = box.current;
    if (scroller === null) return;
    const held = place.current ?? (anchor.current.at === "message" ? anchor.current.place : null);
    const stood = held === null ? null : scroller.querySelector<HTMLElement>(`[data-key="${CSS.escape(held.key)}"]`);
    const line = anchor.current.at === "line" ? scroller.querySelector<HTMLElement>(".messages__new") : null;
    if (held !== null && stood !== null) scroller.scrollTop = stood.offsetTop - held.top;
    else if (line !== null) scroller.scrollTop = line.offsetTop - scroller.clientHeight / 6;
    // What was in view may be among the older ones that are still being checked.
    else scroller.scrollTop = scroller.scrollHeight;
    settled.current = { top: scroller.scrollTop, height: scroller.scrollHeight, client: scroller.clientHeight };
  };
  const atEnd = () => {
    const scroller = box.current;
    return scroller !== null && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
  };

  useLayoutEffect(() => {
    const scroller = box.current;
    if (scroller === null) return;
    if (!opened.current && messages.length > 0) {
      opened.current = true;
      // Where the page itself scrolls (a low window, doubled text), its header makes room.
      if (document.documentElement.scrollHeight > innerHeight) scroller.closest(".main")?.scrollIntoView({ block: "start" });
    }
    // Whoever has just written sees what was written.
    if (opened.current && lastKey !== seenLast.current && last?.kind === "text" && last.mine) {
      moved.current = true;
      anchor.current = { at: "end" };
    } else if (anchor.current.at === "end" && !moved.current && scroller.querySelector(".messages__new") !== null) anchor.current = { at: "line" };
    settle();
  }, [start, messages.length, lastKey, firstUnread]);

  useLayoutEffect(() => {
    const observer = new ResizeObserver(settle);
    for (const one of [box.current, inner.current]) if (one !== null) observer.observe(one);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (whole || messages.length === 0) return;
    return soon(() => setWhole(true));
  }, [whole, messages.length === 0]);

  useEffect(() => {
    place.current = null;
    if (asked.current && start > 0) {
      asked.current = false;
      showOlder();
    }
  }, [start, whole]);

  useEffect(() => {
    if (lastKey === seenLast.current) return;
    const since = messages.length - 1 - messages.findIndex((one) => one.key === seenLast.current);
    seenLast.current = lastKey;
    if (atEnd()) onSeenEnd?.();
    else setMissed((count) => count + Math.max(1, since));
  }, [lastKey]);

  const onScroll = () => {
    const scroller = box.current;
    if (scroller === null) return;
    const { top, height, client } = settled.current;
    // A size that changed is not a person who scrolls: `settle` answers it.
    if (scroller.scrollHeight !== height || scroller.clientHeight !== client || Math.abs(scroller.scrollTop - top) < 1) return;
    const end = atEnd();
    if (end && anchor.current.at !== "end") {
      setMissed(0);
      onSeenEnd?.();
    }
    moved.current = true;
    const kept = end ? null : topmost(scroller);
    anchor.current = kept === null ? { at: "end" } : { at: "message", place: kept };
    settled.current = { top: scroller.scrollTop, height, client };
    if (scroller.scrollTop < NEAR_TOP_PX && more && place.current === null && !loadingOlder) showOlder();
  };

  useEffect(() => {
    // A list that does not fill its box can never be scrolled: its end is in view already.
    const scroller = box.current;
    if (scroller === null) return;
    if (scroller.scrollHeight <= scroller.clientHeight + NEAR_END_PX) onSeenEnd?.();
  }, []);

  useEffect(() => {
    onPlace?.(() => (box.current === null || atEnd() ? null : topmost(box.current)));
  }, []);

  return (
    <div class="messages" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label={t("views.messages.label")}>
      {more ? (
        <div class="messages__older">
          {loadingOlder ? (
            <Spinner>{t("views.messages.loading-older")}</Spinner>
          ) : (
            <Button look="quiet" onClick={showOlder}>
              {t("views.messages.older")}
            </Button>
          )}
        </div>
      ) : (
        <p class="system-line soft">{t("views.messages.start")}</p>
      )}
      <ol class="messages__inner" ref={inner}>
        {shown.map((message, index) => {
          const before = shown[index - 1];
          const newDay = before === undefined || !sameDay(before.at, message.at);
          return (
            <Fragment key={message.key}>
              {newDay ? (
                <li class="messages__line">
                  <span class="messages__day">{dayLine(message.at)}</span>
                </li>
              ) : null}
              {message.key === firstUnread ? (
                <li class="messages__line messages__new">
                  <span>{t("views.message.new")}</span>
                </li>
              ) : null}
              <li data-key={message.key}>
                <Message message={message} acts={acts} />
              </li>
            </Fragment>
          );
        })}
      </ol>
      {missed === 0 ? null : (
        <div class="messages__jump">
          <Button
            icon="down"
            onClick={() => {
              moved.current = true;
              anchor.current = { at: "end" };
              setMissed(0);
              settle();
              onSeenEnd?.();
            }}
          >
            {t("views.messages.jump", { count: missed })}
          </Button>
        </div>
      )}
      <LiveRegion
        text={last === undefined || last.kind === "system" || last.mine ? "" : `${last.who}: ${last.kind === "text" ? last.text : stateWords(last)}`}
      />
    </div>
  );
});

/** Where drawing begins: at the message scrolled to, else far enough up for the first unread one, else the newest 50. */
function startOf(messages: readonly MessageView[], from: string | null, firstUnread: string | null, least: number): number {
  const newest = Math.max(0, messages.length - least);
  if (from !== null) {
    const index = messages.findIndex((one) => one.key === from);
    if (index >= 0) return index;
  }
  const unread = firstUnread === null ? -1 : messages.findIndex((one) => one.key === firstUnread);
  return unread < 0 ? newest : Math.max(0, Math.min(newest, unread - 2));
}

/** Does something once what was drawn can be seen; gives what calls it off. */
function soon(act: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const frame = requestAnimationFrame(() => { timer = setTimeout(act); });
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}

function topmost(scroller: HTMLElement): Place | null {
  for (const item of scroller.querySelectorAll<HTMLElement>("[data-key]")) {
    if (item.offsetTop + item.offsetHeight > scroller.scrollTop) {
      return { key: item.dataset["key"] ?? "", top: item.offsetTop - scroller.scrollTop };
    }
  }
  return null;
}
