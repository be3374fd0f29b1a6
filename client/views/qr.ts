// QR codes (ISO/IEC 18004), drawn in the browser: what one holds need not be known to any server.

import qrcode from "qrcode-generator";

/** A QR code as one SVG path: `size` modules wide and high, without the white margin. */
export interface QrDrawing {
  readonly size: number;
  readonly path: string;
}

/** Draws `text`. Error correction M: up to 15 % of the picture may be lost on paper. */
export function drawQr(text: string): QrDrawing {
  const code = qrcode(0, "M");
  code.addData(text, "Byte");
  code.make();
  const size = code.getModuleCount();
  let path = "";
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      if (code.isDark(row, column)) path += `M${column} ${row}h1v1h-1z`;
    }
  }
  return { size, path };
}
