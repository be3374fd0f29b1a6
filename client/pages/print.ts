// "Print" on a page of the server that is made for paper. Without scripts the browser's own menu does it.

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-print]")) button.addEventListener("click", () => print());
