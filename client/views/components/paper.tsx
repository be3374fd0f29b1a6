// What is made for paper alone: drawn beside the page, printed, and taken away again.

import { type ComponentChild, render } from "preact";

/** Opens the browser's print dialog with nothing but this. */
export function printSheet(content: ComponentChild): void {
  const sheet = document.createElement("div");
  sheet.className = "print-only";
  const app = document.getElementById("app");
  document.body.append(sheet);
  render(content, sheet);
  app?.classList.add("no-print");
  const clean = (): void => {
    app?.classList.remove("no-print");
    render(null, sheet);
    sheet.remove();
  };
  addEventListener("afterprint", clean, { once: true });
  print();
}
