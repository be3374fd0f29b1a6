// A QR code that is drawn already (views/qr.ts), for a page that does not carry the code that draws.

import type { QrDrawing } from "../qr.ts";

/** A QR code inside its white margin: no image file, no string of HTML. */
export function QrPicture({ drawing: { size, path }, label }: { readonly drawing: QrDrawing; readonly label: string }) {
  return (
    <svg class="qr" viewBox={`-2 -2 ${size + 4} ${size + 4}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <path d={path} />
    </svg>
  );
}
