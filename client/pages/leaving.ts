// Signing out on a page of the server, on a computer marked as shared: what the client keeps here of the person goes first, as on
// a page with keys. Without scripts there are no keys here, and the form works as it is.

import { dropHelp } from "../live/help.ts";
import { forgetAccount } from "../store/db.ts";
import { unsentHere } from "../store/shared.ts";

async function leave(form: HTMLFormElement): Promise<void> {
  const { leaving = "", unsent = "" } = form.dataset;
  if ((await unsentHere(leaving)) && !confirm(unsent)) return;
  await forgetAccount(leaving);
  await dropHelp();
  form.submit();
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-leaving]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // Where the store cannot be opened there is nothing to delete: leaving is always possible.
    leave(form).catch(() => form.submit());
  });
}
