// "Add a device": this device shows a picture, the other one reads it and signs in. The page says what becomes of it.

import { useEffect, useState } from "preact/hooks";

import { type Offered, type OfferState, endOffer, offerAddress, offerKeys, offerState } from "../keys/offers.ts";
import type { Ready } from "../keys/unlock.ts";
import { type Page, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Spinner } from "../views/components/basics.tsx";
import { QrCode } from "../views/components/qr.tsx";
import { CodeGroups } from "../views/components/recovery.tsx";
import { clock } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import { type Asking, RootDialog, prepare } from "./parts/root.tsx";

const LOOK_EVERY_MS = 2000;

function AddDevice({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [shown, setShown] = useState<Offered | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const begin = async (): Promise<void> => {
    setProblem(undefined);
    setBusy(true);
    try {
      setAsking(await prepare(ready, {
        title: t("keys.offer.title"), body: t("keys.offer.prove"), confirm: t("keys.offer.show"), query: { do: "show" },
        run: async (root) => setShown(await offerKeys(ready, root)),
      }));
    } catch (error) {
      setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };
  useEffect(() => {
    if (new URLSearchParams(location.search).get("do") === "show") void begin();
  }, []);
  return (
    <div class="narrow stack-wide">
      <h1>{t("keys.offer.title")}</h1>
      {problem === undefined ? null : <Banner tone="warn" announce title={t("common.error.title")}><p>{problem}</p></Banner>}
      {asking === undefined ? null : <RootDialog ready={ready} asking={asking} onDone={() => setAsking(undefined)} onClose={() => setAsking(undefined)} />}
      {shown !== undefined ? <Shown key={shown.code} offered={shown} onAgain={() => void begin()} /> : (
        <>
          <p class="lead">{t("keys.offer.body")}</p>
          {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
          <div class="button-row">
            <Button busy={busy} onClick={() => void begin()}>{t("keys.offer.show")}</Button>
            <LinkButton look="quiet" href="/devices">{t("keys.devices.title")}</LinkButton>
          </div>
        </>
      )}
    </div>
  );
}

/** The picture while it waits; then who read it, and how it ended. The code leaves the page as soon as it is of no more use. */
function Shown({ offered, onAgain }: { readonly offered: Offered; readonly onAgain: () => void }) {
  const [found, setFound] = useState<OfferState["state"] | "ended">("waiting");
  const [browser, setBrowser] = useState<string | null>(null);
  const [lost, setLost] = useState(false);
  const over = found === "done" || found === "over" || found === "ended";
  useEffect(() => {
    if (over) return undefined;
    let gone = false;
    const look = async (): Promise<void> => {
      try {
        const now = await offerState();
        if (gone) return;
        setLost(false);
        setBrowser(now?.browser ?? null);
        // One whose time is over is soon deleted.
        setFound(now?.state ?? (Date.parse(offered.until) <= Date.now() ? "over" : "ended"));
      } catch {
        if (!gone) setLost(true);
      }
    };
    const timer = setInterval(() => void look(), LOOK_EVERY_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [over, offered.until]);
  const end = async (): Promise<void> => {
    try {
      await endOffer();
      setFound("ended");
    } catch {
      setLost(true);
    }
  };
  const who = browser ?? t("keys.offer.a-browser");
  return (
    <section class="stack" data-offer={found} aria-live="polite">
      {lost ? <Banner tone="warn" icon="offline" slim><p>{t("keys.trouble.offline")}</p></Banner> : null}
      {found === "waiting" ? (
        <>
          <ol class="bullets">
            <li>{t("keys.offer.scan")}</li>
            <li>{t("keys.offer.sign-in")}</li>
          </ol>
          <div class="recovery-sheet__code">
            <QrCode text={offerAddress(offered.code)} label={t("keys.offer.picture")} />
          </div>
          <details class="card card--plain">
            <summary>{t("keys.offer.cannot-scan")}</summary>
            <p>{t("keys.offer.type")}</p>
            <CodeGroups code={offered.code} />
          </details>
          <p class="soft">{t("keys.offer.until", { time: clock(Date.parse(offered.until)) })}</p>
          <Spinner>{t("keys.offer.waiting")}</Spinner>
          <div class="button-row">
            <Button look="quiet" onClick={() => void end()}>{t("keys.offer.end")}</Button>
            <LinkButton look="plain" href="/devices">{t("keys.devices.title")}</LinkButton>
          </div>
        </>
      ) : found === "given" ? (
        <>
          <Spinner>{t("keys.offer.given", { browser: who })}</Spinner>
          <div class="button-row"><LinkButton look="quiet" href="/devices">{t("keys.devices.title")}</LinkButton></div>
        </>
      ) : (
        <>
          <Banner tone={found === "done" ? "ok" : "warn"} announce title={t(`keys.offer.${found}`, { browser: who })}>
            <p>{t(`keys.offer.${found}-body`)}</p>
          </Banner>
          <div class="button-row">
            {found === "done" ? null : <Button onClick={onAgain}>{t("keys.offer.again")}</Button>}
            <LinkButton look={found === "done" ? "main" : "quiet"} href="/devices">{t("keys.devices.title")}</LinkButton>
          </div>
        </>
      )}
    </section>
  );
}

await startKeyPage({ path: "/account", title: "keys.offer.title", view: (page) => <AddDevice page={page} /> });
