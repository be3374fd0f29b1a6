// A QR code (ISO/IEC 18004), drawn in the browser: what it holds need not be known to any server.

import { useMemo } from "preact/hooks";

import { drawQr } from "../qr.ts";
import { QrPicture } from "./qr-picture.tsx";

/** `text` as a QR code. */
export function QrCode({ text, label }: { readonly text: string; readonly label: string }) {
  const drawing = useMemo(() => drawQr(text), [text]);
  return <QrPicture drawing={drawing} label={label} />;
}
