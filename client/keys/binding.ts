// A session and this device: the device shows the server that it holds its key, under a name by which its owner knows it again.

import { b64, unb64 } from "../crypto/encoding.ts";
import { signSession } from "../crypto/identity.ts";
import { ApiError, type SessionState, post } from "../live/api.ts";
import type { KeptDevice } from "./guarded.ts";
import { deviceSigner } from "./local.ts";
import { type Given } from "./shapes.ts";

/** Shows the server that this session runs on this device; gives the share. */
export async function bind(session: SessionState, device: KeptDevice): Promise<Given> {
  if (session.device_challenge === null) throw new ApiError(403, "no-challenge", "", {}, null);
  const signature = await signSession(await deviceSigner(device), device.id, unb64(session.device_challenge));
  return post<Given>("/api/keys/devices/bind", { device: device.id, sig: b64(signature) });
}

/** A name by which a person knows this browser again: what it is and what it runs on. */
export function deviceName(agent: string = navigator.userAgent): string {
  const browsers: readonly (readonly [RegExp, string])[] = [
    [/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\/|FxiOS/, "Firefox"], [/Chrome\/|CriOS/, "Chrome"], [/Safari\//, "Safari"],
  ];
  const systems: readonly (readonly [RegExp, string])[] = [
    [/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Android/, "Android"], [/Windows/, "Windows"], [/Mac OS X/, "Mac"], [/CrOS/, "Chromebook"], [/Linux/, "Linux"],
  ];
  const first = (list: readonly (readonly [RegExp, string])[]): string | undefined => list.find(([sign]) => sign.test(agent))?.[1];
  return [first(browsers), first(systems)].filter((word) => word !== undefined).join(", ") || "Browser";
}
