// A small button behind which lies what is not needed all the time. The list is the browser's own popover: it lies above everything,
// and a click beside it or Escape closes it.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";

import { Icon } from "./basics.tsx";

const GAP_PX = 4;
/** A browser that knows no popovers has the list in its place, below the button. */
const POPOVERS = "popover" in HTMLElement.prototype;

/** `label`: what the acts are about, for who cannot see where the button stands. */
export function More({ label, children }: { readonly label: string; readonly children: () => ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!open || button.current === null || list.current === null) return;
    if (POPOVERS) place(list.current, button.current);
    list.current.querySelector<HTMLElement>("button, a, summary")?.focus();
  }, [open]);
  return (
    <span class="more no-print">
      <button type="button" class="more__button" ref={button} aria-label={label} title={label} aria-expanded={open}
        {...(POPOVERS ? { popovertarget: id } : { onClick: () => setOpen(!open) })}><Icon name="more" /></button>
      <div class="more__list" ref={list} id={id} {...(POPOVERS ? { popover: "auto" as const } : { hidden: !open })}
        onToggle={(event: Event) => setOpen((event as ToggleEvent).newState === "open")}
        onClick={(event) => {
          if (!(event.target instanceof Element) || event.target.closest("button, a") === null) return;
          if (POPOVERS) event.currentTarget.hidePopover();
          setOpen(false);
        }}>{open ? children() : null}</div>
    </span>
  );
}

/** Below the button where there is room, above it otherwise, and never beyond an edge. */
function place(list: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = list;
  const below = at.bottom + GAP_PX + height <= innerHeight;
  list.style.top = `${Math.max(GAP_PX, below ? at.bottom + GAP_PX : at.top - GAP_PX - height)}px`;
  list.style.left = `${Math.max(GAP_PX, Math.min(at.right - width, innerWidth - width - GAP_PX))}px`;
}
