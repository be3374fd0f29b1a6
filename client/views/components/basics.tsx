// The smallest parts: icons, buttons, banners, what to show while waiting or when there is nothing.

import type { ButtonHTMLAttributes, ComponentChildren, Ref } from "preact";

import paths from "../../../templates/icons.json";
import { t } from "../i18n.ts";

export type IconName = keyof typeof paths;

/** A drawing that says nothing by itself: the words stand beside it. */
export function Icon({ name }: { name: IconName }) {
  return <svg class="icon" width="20" height="20" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d={paths[name]} /></svg>;
}

/** The mark of the portal, as in templates/parts/icons.html. */
export function Logo() {
  return (
    <svg class="brand__mark" width="34" height="34" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path fill="currentColor" d="M6 3h20a4 4 0 0 1 4 4v13a4 4 0 0 1-4 4H15l-7.5 6v-6H6a4 4 0 0 1-4-4V7a4 4 0 0 1 4-4z" />
      <g transform="rotate(-45 16 13.5)">
        <path class="mark-a" d="M16 9.5h5a4 4 0 0 1 0 8h-5z" />
        <path class="mark-b" d="M16 9.5h-5a4 4 0 0 0 0 8h5z" />
      </g>
    </svg>
  );
}

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly look?: "main" | "quiet" | "plain" | "danger";
  readonly big?: boolean;
  readonly icon?: IconName;
  readonly type?: "button" | "submit";
  readonly busy?: boolean;
  readonly disabled?: boolean;
  readonly onClick?: (event: MouseEvent) => void;
  readonly label?: string;
  readonly pressed?: boolean;
  readonly expanded?: boolean;
  readonly controls?: string;
  readonly shortcut?: string;
  /** Shown beside the pointer, where a button has only a drawing. */
  readonly title?: string;
  readonly buttonRef?: Ref<HTMLButtonElement>;
}

function buttonClass(look: ButtonProps["look"], big: boolean): string {
  return ["button", look === undefined || look === "main" ? "" : `button--${look}`, big ? "button--big" : ""].filter(Boolean).join(" ");
}

/** A button. While `busy` or `disabled` it keeps its place and focus, and does nothing. */
export function Button({
  children,
  look,
  big = false,
  icon,
  type = "button",
  busy = false,
  disabled = false,
  onClick,
  label,
  pressed,
  expanded,
  controls,
  shortcut,
  title,
  buttonRef,
}: ButtonProps) {
  const off = busy || disabled;
  const extra: ButtonHTMLAttributes<HTMLButtonElement> & { ref?: Ref<HTMLButtonElement> } = {};
  if (label !== undefined) extra["aria-label"] = label;
  if (pressed !== undefined) extra["aria-pressed"] = pressed;
  if (expanded !== undefined) extra["aria-expanded"] = expanded;
  if (controls !== undefined) extra["aria-controls"] = controls;
  if (shortcut !== undefined) extra["aria-keyshortcuts"] = shortcut;
  if (title !== undefined) extra.title = title;
  if (off) extra["aria-disabled"] = true;
  if (busy) extra["aria-busy"] = true;
  if (buttonRef !== undefined) extra.ref = buttonRef;
  return (
    <button
      {...extra}
      type={type}
      class={buttonClass(look, big)}
      onClick={(event) => {
        if (off) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A link that looks like a button. */
/** `apart`: opens beside this page, which stays as it is. */
export function LinkButton({ children, href, look, big = false, icon, apart = false }: Pick<ButtonProps, "children" | "look" | "big" | "icon"> & {
  readonly href: string; readonly apart?: boolean;
}) {
  return (
    <a class={buttonClass(look, big)} href={href} {...(apart ? { target: "_blank", rel: "noopener" } : {})}>
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </a>
  );
}

export type Tone = "info" | "ok" | "warn" | "urgent";
const TONE_ICON: Readonly<Record<Tone, IconName>> = { info: "info", ok: "check", warn: "warn", urgent: "warn" };

/** Something to know about the page. `announce`: also read aloud when it appears. */
export function Banner({ tone = "info", title, icon, slim = false, announce = false, children }: {
  readonly tone?: Tone;
  readonly title?: string;
  readonly icon?: IconName;
  readonly slim?: boolean;
  readonly announce?: boolean;
  readonly children?: ComponentChildren;
}) {
  const live = announce ? { role: tone === "urgent" ? "alert" as const : "status" as const } : {};
  return (
    <div class={`banner banner--${tone}${slim ? " banner--slim" : ""}`} {...live}>
      <Icon name={icon ?? TONE_ICON[tone]} />
      <div class="banner__body">
        {title === undefined ? null : <p class="banner__title">{title}</p>}
        {children}
      </div>
    </div>
  );
}

/** A short word about a state, with a drawing so that colour is never alone. */
export function Tag({ tone, icon, children }: { readonly tone?: Tone | "brand"; readonly icon?: IconName; readonly children: ComponentChildren }) {
  return <span class={tone === undefined ? "tag" : `tag tag--${tone}`}>{icon === undefined ? null : <Icon name={icon} />}{children}</span>;
}

/** Waiting, with words that say for what. */
export function Spinner({ children }: { readonly children: ComponentChildren }) {
  return <p class="spinner" role="status">{children}</p>;
}

/** How far long work is; `share` from 0 to 1. */
export function Progress({ label, share }: { readonly label: string; readonly share: number }) {
  const percent = Math.floor(share * 100);
  return (
    <div class="progress">
      <span>{label}</span>
      <progress max={100} value={percent} aria-label={label} aria-valuetext={t("views.busy.percent", { percent })} />
    </div>
  );
}

/** Nothing here yet, and what to do about it. */
export function EmptyState({ icon, title, heading = false, children, action }: {
  readonly icon: IconName;
  readonly title: string;
  /** Nothing else stands on the page: the title is its first heading. */
  readonly heading?: boolean;
  readonly children?: ComponentChildren;
  readonly action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <Icon name={icon} />
      {heading ? <h1>{title}</h1> : <strong>{title}</strong>}
      {children === undefined ? null : <p>{children}</p>}
      {action}
    </div>
  );
}

/** Read aloud when `text` changes; seen by nobody. */
export function LiveRegion({ text, urgent = false }: { readonly text: string; readonly urgent?: boolean }) {
  return <div class="sr-only" role={urgent ? "alert" : "status"} aria-live={urgent ? "assertive" : "polite"}>{text}</div>;
}

/** A word at the foot of the page that the person may overlook without harm. */
export function Toast({ children, onClose }: { readonly children: ComponentChildren; readonly onClose?: () => void }) {
  return (
    <div class="toasts no-print">
      <div class="toast" role="status">
        <span>{children}</span>
        {onClose === undefined ? null : <button type="button" class="button button--quiet" onClick={onClose}>{t("common.close")}</button>}
      </div>
    </div>
  );
}
