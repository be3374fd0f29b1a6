// The code of a printed card: read from behind the # of its address, kept for this tab over the login, filled in once.
// It is in no request before the person sends the form: not in an address, not in a header, not at the identity provider.

const KEPT = "portal_join_code";
const CODE = /^[0-9A-Za-z]{4}(-[0-9A-Za-z]{4}){3}$/;

function reveal(selector: string, yes: boolean): void {
  for (const element of document.querySelectorAll<HTMLElement>(selector)) element.hidden = !yes;
}

function read(): void {
  const found = location.hash.slice(1);
  if (!CODE.test(found)) return;
  sessionStorage.setItem(KEPT, found);
  // Out of the address bar and the history, which others may see.
  history.replaceState(null, "", location.pathname + location.search);
}

const form = document.querySelector<HTMLFormElement>("form[data-join]");
if (form === null) {
  read();
  const there = sessionStorage.getItem(KEPT) !== null;
  reveal("[data-read]", there);
  reveal("[data-unread]", !there);
} else {
  const kept = sessionStorage.getItem(KEPT);
  const field = form.elements.namedItem("code");
  if (kept !== null && field instanceof HTMLInputElement && field.value === "") {
    field.value = kept;
    reveal("[data-filled]", true);
  }
  // A wrong birth date brings the page back with the code in it; what was sent need not be kept.
  form.addEventListener("submit", () => sessionStorage.removeItem(KEPT));
}
