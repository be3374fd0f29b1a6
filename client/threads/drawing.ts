// Drawing a QR code beside the page. Few print, so the thread page does not carry the code that draws: its worker is loaded
// when somebody does.

import { type QrDrawing, drawQr } from "../views/qr.ts";

export const drawingTasks = {
  /** `text` as a QR code. */
  qr(input: { readonly text: string }): Promise<QrDrawing> {
    return Promise.resolve(drawQr(input.text));
  },
};
