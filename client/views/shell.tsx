// The frame around every page of the client: the same header and footer as templates/base.html, from plain values.

import type { ComponentChildren } from "preact";

import { Icon, type IconName, Logo } from "./components/basics.tsx";
import { clock, moment, phoneUri, sameDay } from "./format.ts";
import { language, t } from "./i18n.ts";
import type { Pharmacy } from "./types.ts";

export type Role = "patient" | "pharmacist" | "technician" | "supervisor" | "privacy" | "operator";

/** Where a role can go; the same places as portal/web/public/frame.py. */
const PATIENT_MENU: readonly (readonly [string, IconName, string])[] = [
  ["/home", "home", "home"], ["/messages", "message", "messages"], ["/medicines", "pill", "medicines"],
  ["/orders", "box", "orders"], ["/record", "eye", "record"], ["/account", "person", "account"],
];
const PHARMACY_MENU: readonly (readonly [string, IconName, string])[] = [
  ["/inbox", "message", "inbox"], ["/new", "people", "patients"], ["/invitations", "send", "invitations"], ["/team", "key", "team"],
  ["/staff", "list", "staff"], ["/account", "person", "account"],
];
const MENUS: Readonly<Record<Role, readonly (readonly [string, IconName, string])[]>> = {
  patient: PATIENT_MENU,
  pharmacist: PHARMACY_MENU,
  technician: PHARMACY_MENU,
  supervisor: PHARMACY_MENU,
  privacy: [["/privacy-office", "eye", "privacy-office"], ...PHARMACY_MENU.filter(([href]) => href !== "/new" && href !== "/invitations")],
  operator: [["/pharmacies", "box", "pharmacies"], ["/operator", "device", "operator"], ["/account", "person", "account"]],
};

export interface FrameProps {
  /** null: not signed in, or locked. */
  readonly account: { readonly role: Role; readonly name: string } | null;
  readonly pharmacy: Pharmacy | null;
  /** The menu's place of this page, such as "/messages". */
  readonly path: string;
  readonly largeText: boolean;
  readonly onLanguage: (language: string) => void;
  readonly onText: (size: "normal" | "large") => void;
  readonly onSignOut: () => void;
  /** Locks the screen at once: on a device that others use too. */
  readonly onLock?: () => void;
  /** Whether somebody without an account here is led to the sign-in. */
  readonly signIn?: boolean;
  /** Others use this computer too. */
  readonly shared?: boolean;
  /** The page fills the window and scrolls inside its panes (threads, inbox). */
  readonly full?: boolean;
  /** Its header is as wide as that of a full page, which this one covers for now. */
  readonly wide?: boolean;
  readonly children: ComponentChildren;
}

/** Sets what the style sheet asks the document for: text size, audience, language. */
export function dress(options: { readonly largeText: boolean; readonly role: Role | null }): void {
  const root = document.documentElement;
  root.lang = language() === "qps" ? "en" : language();
  root.dataset["text"] = options.largeText ? "large" : "normal";
  root.dataset["audience"] = options.role === null || options.role === "patient" ? "patient" : "staff";
}

/** Header, main part and, unless the page is full, footer. */
export function AppFrame(props: FrameProps) {
  const { account, pharmacy } = props;
  const menu = account === null ? [] : MENUS[account.role];
  return (
    <div class={props.full === true ? "frame page" : props.wide === true ? "page page--wide" : "page"}>
      <a class="skip" href="#main">
        {t("common.skip")}
      </a>
      <header class="masthead no-print">
        <div class="wrap">
          <div class="masthead__bar">
            <a class="brand" href={menu[0]?.[0] ?? "/"}>
              <Logo />
              <span class="brand__name">
                {pharmacy === null ? (
                  t("common.product")
                ) : (
                  <>
                    {pharmacy.name}
                    <span class="brand__what">{t("common.product")}</span>
                  </>
                )}
              </span>
            </a>
            {account === null ? (
              <>
                <Utility {...props} />
                {props.signIn === false ? null : (
                  <a class="button button--quiet" href="/login">
                    {t("common.nav.signin")}
                  </a>
                )}
              </>
            ) : (
              <details class="fold">
                <summary>
                  <Icon name="menu" />
                  <span class="menu-word">{t("common.menu")}</span>
                </summary>
                <nav class="fold__list" aria-label={t("common.menu.label")}>
                  <Links menu={menu} path={props.path} icons />
                  <Utility {...props} fold />
                  {props.full === true ? (
                    <a href="/something-wrong">
                      <Icon name="stop" />
                      {t("wrong.link")}
                    </a>
                  ) : null}
                  {props.full === true && account.role === "patient" ? (
                    <p class="fold__emergency">
                      <Icon name="warn" />
                      {emergencyLine(pharmacy)}
                    </p>
                  ) : null}
                </nav>
              </details>
            )}
          </div>
          {account === null ? null : (
            <nav class="menu" aria-label={t("common.menu.label")}>
              <Links menu={menu} path={props.path} />
              <span class="menu__end">
                <Utility {...props} />
              </span>
            </nav>
          )}
        </div>
      </header>
      <div class="reach no-print" role="region" aria-label={t("common.reach.label")}>
        <div class="wrap reach__row">
          {pharmacy === null ? (
            <a href="/contact">
              <Icon name="phone" />
              <span>{t("common.nav.contact")}</span>
            </a>
          ) : (
            <>
              <a class="phone" href={phoneUri(pharmacy.phone)}>
                <Icon name="phone" />
                <strong>{pharmacy.phone}</strong>
              </a>
              <a href="/contact">
                <Icon name="clock" />
                <span>{hoursLine(pharmacy)}</span>
              </a>
            </>
          )}
          <a class="reach__wrong" href="/something-wrong">
            <Icon name="stop" />
            <span>{t("wrong.link")}</span>
          </a>
          {props.full === true && account?.role === "patient" ? (
            <span class="reach__emergency">
              <Icon name="warn" />
              {emergencyLine(pharmacy)}
            </span>
          ) : null}
          {props.onLock !== undefined && account !== null ? (
            <span class="reach__lock">
              <button type="button" aria-keyshortcuts="F8" onClick={props.onLock}>
                <Icon name="key" />
                <span>{t("common.nav.lock")}</span>
              </button>
            </span>
          ) : props.shared === true && account !== null ? (
            <span class="reach__shared">
              <Icon name="people" />
              {t("common.shared")}
            </span>
          ) : null}
        </div>
      </div>
      {props.full === true ? (
        <main class="main main--full" id="main" tabIndex={-1}>
          {props.children}
        </main>
      ) : (
        <>
          <main class="main" id="main" tabIndex={-1}>
            <div class="wrap">{props.children}</div>
          </main>
          <Footer pharmacy={pharmacy} />
        </>
      )}
    </div>
  );
}

/** Whether the pharmacy is at work, in one sentence, in the reader's zone. */
export function hoursLine(pharmacy: Pharmacy, now: number = Date.now()): string {
  if (pharmacy.openNow === null) return t("hours.unknown");
  if (pharmacy.openNow) return pharmacy.openUntil == null ? t("hours.open") : t("hours.open-until", { time: clock(pharmacy.openUntil) });
  if (pharmacy.nextOpen === null) return t("hours.closed");
  const opens = pharmacy.nextOpen;
  if (sameDay(opens, now)) return t("hours.closed-until", { day: t("hours.today"), time: clock(opens) });
  if (sameDay(opens, now + 24 * 3_600_000)) return t("hours.closed-until", { day: t("hours.tomorrow"), time: clock(opens) });
  return `${t("hours.closed")}. ${moment(opens, now)}`;
}

/** When a message written now is read, or null while the pharmacy is at work. Beside it stands the number to call. */
export function readNotice(pharmacy: Pharmacy, now: number = Date.now()): string | null {
  if (pharmacy.openNow === true) return null;
  if (pharmacy.nextOpen === null) return t("views.composer.read-unknown");
  return t("views.composer.read-before", { time: moment(pharmacy.nextOpen, now) });
}

function Links({
  menu,
  path,
  icons = false,
}: {
  readonly menu: readonly (readonly [string, IconName, string])[];
  readonly path: string;
  readonly icons?: boolean;
}) {
  return (
    <>
      {menu.map(([href, icon, name]) => (
        <a key={href} href={href} {...(href === path ? { "aria-current": "page" as const } : {})}>
          {icons ? <Icon name={icon} /> : null}
          {t(`common.nav.${name}`)}
        </a>
      ))}
    </>
  );
}

function Utility({ account, largeText, onLanguage, onText, onSignOut, fold = false }: FrameProps & { readonly fold?: boolean }) {
  const [code, name] = language() === "es" ? ["en", "English"] as const : ["es", "Español"] as const;
  return (
    <div class={fold ? "fold__list" : "utility"}>
      <button type="button" lang={code} onClick={() => onLanguage(code)}>
        <Icon name="globe" />
        {name}
      </button>
      <button type="button" onClick={() => onText(largeText ? "normal" : "large")}>
        <Icon name="text" />
        <span class="switch-words">{t(largeText ? "common.text.normal" : "common.text.large")}</span>
      </button>
      {account === null ? null : (
        <button type="button" onClick={onSignOut}>
          <Icon name="out" />
          {t("common.nav.signout")}
        </button>
      )}
    </div>
  );
}

function Footer({ pharmacy }: { readonly pharmacy: Pharmacy | null }) {
  return (
    <footer class="footer no-print">
      <div class="wrap footer__grid">
        <p class="footer__emergency">
          <Icon name="warn" />
          <span>{emergencyLine(pharmacy)}</span>
        </p>
        <div>
          <p>
            {pharmacy === null ? (
              t("common.footer.wrong-plain")
            ) : (
              <>
                {t("common.footer.wrong")}{" "}
                <a class="nowrap" href={phoneUri(pharmacy.phone)}>
                  {pharmacy.phone}
                </a>
              </>
            )}
          </p>
          <ul class="footer__links">
            <li>
              <a href="/contact">{t("common.nav.contact")}</a>
            </li>
            <li>
              <a href="/help">{t("common.nav.help")}</a>
            </li>
            <li>
              <a href="/privacy-policy">{t("common.nav.privacy")}</a>
            </li>
          </ul>
        </div>
      </div>
    </footer>
  );
}

function emergencyLine(pharmacy: Pharmacy | null): ComponentChildren {
  const numbers = pharmacy?.emergency ?? null;
  if (numbers === null) return t("common.footer.emergency-plain");
  const line = t("common.footer.emergency", { number: numbers.emergency });
  if (numbers.poison === null) return line;
  // The number stands on one line, also where it has hyphens.
  const [before, after] = t("common.footer.poison", { number: "\n" }).split("\n");
  return <>{line} {before}<span class="nowrap">{numbers.poison}</span>{after}</>;
}
