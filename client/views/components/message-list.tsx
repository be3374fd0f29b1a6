// A thread of any length: the newest part is drawn at once, older parts as the reader nears them, and the place is kept.

import { Fragment } from "preact";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { dayLine, sameDay } from "../format.ts";
import { t } from "../i18n.ts";
import type { MessageView } from "../types.ts";
import { Button, LiveRegion, Spinner } from "./basics.tsx";
import { Message, type MessageActs, stateWords } from "./message.tsx";

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

/** Drawn again only when one of its values is another one: a word typed below it costs nothing here. */
export const MessageList = memo(function MessageList({ messages, acts, firstUnread, hasOlder, loadingOlder, onOlder, at = null, onPlace, onSeenEnd }: MessageListProps) {
  const box = useRef<HTMLDivElement>(null);
  const place = useRef<Place | null>(null);
  const atEnd = useRef(true);
  const asked = useRef(false);
  const opened = useRef(false);
  const [from, setFrom] = useState<string | null>(at?.key ?? null);
  const [whole, setWhole] = useState(false);
  const [missed, setMissed] = useState(0);
  const lastKey = messages.at(-1)?.key ?? "";
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

  useLayoutEffect(() => {
    const scroller = box.current;
    if (scroller === null) return;
    if (!opened.current && messages.length > 0) {
      const stood = at === null ? null : scroller.querySelector<HTMLElement>(`[data-key="${CSS.escape(at.key)}"]`);
      // What was in view may be among the older ones that are still being checked.
      opened.current = at === null || stood !== null || !hasOlder;
      const line = scroller.querySelector<HTMLElement>(".messages__new");
      scroller.scrollTop = stood !== null && at !== null ? stood.offsetTop - at.top : line === null ? scroller.scrollHeight : line.offsetTop - scroller.clientHeight / 4;
      atEnd.current = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
    } else if (place.current !== null) {
      const again = scroller.querySelector<HTMLElement>(`[data-key="${CSS.escape(place.current.key)}"]`);
      if (again !== null) scroller.scrollTop += again.offsetTop - scroller.scrollTop - place.current.top;
    } else if (atEnd.current) {
      scroller.scrollTop = scroller.scrollHeight;
    }
  }, [start, messages.length, lastKey]);

  useEffect(() => {
    if (whole || messages.length === 0) return;
    return soon(() => {
      if (box.current !== null && !atEnd.current) place.current = topmost(box.current);
      setWhole(true);
    });
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
    if (atEnd.current) onSeenEnd?.();
    else setMissed((count) => count + Math.max(1, since));
  }, [lastKey]);

  const onScroll = () => {
    const scroller = box.current;
    if (scroller === null) return;
    const end = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
    if (end && !atEnd.current) {
      setMissed(0);
      onSeenEnd?.();
    }
    atEnd.current = end;
    if (scroller.scrollTop < NEAR_TOP_PX && more && place.current === null && !loadingOlder) showOlder();
  };

  useEffect(() => {
    // A list that does not fill its box can never be scrolled: its end is in view already.
    const scroller = box.current;
    if (scroller === null) return;
    if (scroller.scrollHeight <= scroller.clientHeight + NEAR_END_PX) onSeenEnd?.();
  }, []);

  useEffect(() => { onPlace?.(() => (box.current === null || atEnd.current ? null : topmost(box.current))); }, []);

  const last = messages.at(-1);
  return (
    <div class="messages" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label={t("views.messages.label")}>
      {more ? (
        <div class="messages__older">
          {loadingOlder ? <Spinner>{t("views.messages.loading-older")}</Spinner> : <Button look="quiet" onClick={showOlder}>{t("views.messages.older")}</Button>}
        </div>
      ) : <p class="system-line soft">{t("views.messages.start")}</p>}
      <ol class="messages__inner">
        {shown.map((message, index) => {
          const before = shown[index - 1];
          const newDay = before === undefined || !sameDay(before.at, message.at);
          return (
            <Fragment key={message.key}>
              {newDay ? <li class="messages__line"><span class="messages__day">{dayLine(message.at)}</span></li> : null}
              {message.key === firstUnread ? <li class="messages__line messages__new"><span>{t("views.message.new")}</span></li> : null}
              <li data-key={message.key}><Message message={message} acts={acts} /></li>
            </Fragment>
          );
        })}
      </ol>
      {missed === 0 ? null : (
        <div class="messages__jump">
          <Button icon="down" onClick={() => {
            const scroller = box.current;
            if (scroller !== null) scroller.scrollTop = scroller.scrollHeight;
          }}>{t("views.messages.jump", { count: missed })}</Button>
        </div>
      )}
      <LiveRegion text={last === undefined || last.kind === "system" || last.mine ? "" : `${last.who}: ${last.kind === "text" ? last.text : stateWords(last)}`} />
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
