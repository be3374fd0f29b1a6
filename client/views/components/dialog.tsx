// A dialog is the browser's own: it keeps the focus, hides the rest from everyone, and closes with Escape.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";

import { t } from "../i18n.ts";
import { Button, Icon } from "./basics.tsx";

/**
 * Shown as long as it is rendered; the focus returns to where it was.
 * `onClose` undefined: it can only be left by one of its own buttons.
 */
export function Dialog({ title, urgent = false, onClose, children, actions }: {
  readonly title: string;
  readonly urgent?: boolean;
  readonly onClose?: (() => void) | undefined;
  readonly children: ComponentChildren;
  readonly actions?: ComponentChildren;
}) {
  const box = useRef<HTMLDialogElement>(null);
  const name = useId();
  // Before the next key is pressed, not some frames later.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = box.current;
    shown?.showModal();
    // What is asked for comes first, not the way out.
    shown?.querySelector<HTMLElement>(".dialog__body input:not([type=checkbox], [type=radio])")?.focus();
    return () => {
      shown?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog class={urgent ? "dialog dialog--urgent" : "dialog"} ref={box} aria-labelledby={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}>
      <div class="row row-apart">
        <h2 id={name}>{urgent ? <Icon name="warn" /> : null} {title}</h2>
        {onClose === undefined ? null : <Button look="plain" icon="close" onClick={onClose}>{t("common.close")}</Button>}
      </div>
      <div class="dialog__body">{children}</div>
      {actions === undefined ? null : <div class="button-row">{actions}</div>}
    </dialog>
  );
}
