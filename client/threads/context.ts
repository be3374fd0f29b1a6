// The medicines and orders beside a thread. The last view lies sealed in this browser, for the hour when the EHR does not answer.

import type { ObjectText } from "../crypto/objects.ts";
import { openKept, sealKept } from "../keys/kept.ts";
import type { Ready } from "../keys/unlock.ts";
import { ApiError, get, isOfTheLine } from "../live/api.ts";
import type { ContextState } from "../views/components/context.tsx";
import type { LookAlike } from "../views/components/patient.tsx";
import { type ContextJson, toPanel } from "../views/panel.ts";
import type { ChipView } from "../views/types.ts";

const KIND = "context";

/** One line of GET /api/patients. */
export interface PatientLine {
  readonly patient: string;
  readonly name: string;
  readonly birth_date: string;
  readonly status: string;
  readonly has_keys: boolean;
  readonly account: string | null;
  /** The record's number with its label; empty where there is none. */
  readonly number: string;
  readonly look_alikes: readonly { readonly patient: string; readonly name: string; readonly birth_date: string; readonly number: string }[];
}

/** Whether medicines may go into a thread of these teams: pharmacists read it, and the service desk does not. */
export function mayCarryMedicines(teams: readonly { readonly id: string }[]): boolean {
  const kinds = new Set(teams.map((one) => one.id.split("_").at(-1)));
  return kinds.has("pharmacists") && !kinds.has("desk");
}

type OrderLine = ContextJson["orders"][number] & { readonly chip_without_medicine: ChipView["fhir"] };
type Json = Omit<ContextJson, "orders"> & { readonly orders: readonly OrderLine[] };

/** Who is easily mistaken for a patient of the list. */
export function lookAlikesOf(line: PatientLine): readonly LookAlike[] {
  return line.look_alikes.map((one) => ({ name: one.name, birthDate: one.birth_date, number: one.number }));
}

/** What the EHR knows of one patient. */
export class ContextModel {
  state: ContextState = { state: "loading" };
  lookAlikes: readonly LookAlike[] = [];
  /** Not for this person's role. */
  hidden = false;
  private json: Json | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly ready: Ready, readonly patient: string, readonly pharmacy: string) {}

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Asks the EHR; `fresh`: past what the server may still remember. */
  async load(fresh = false): Promise<void> {
    const query = new URLSearchParams({ pharmacy: this.pharmacy, ...(fresh ? { fresh: "1" } : {}) });
    try {
      this.json = await get<Json>(`/api/patients/${this.patient}/context?${query.toString()}`);
      this.show({ state: "here", panel: toPanel(this.json) });
      await this.keep(this.json);
    } catch (error) {
      if (!isOfTheLine(error)) throw error;
      this.hidden = error instanceof ApiError && (error.status === 403 || error.status === 404);
      this.json = this.hidden ? undefined : await this.kept();
      this.show({ state: "down", panel: this.json === undefined ? null : toPanel(this.json) });
    }
  }

  /** Who is easily mistaken for this patient (staff). */
  async loadLookAlikes(): Promise<void> {
    const name = this.state.state === "loading" ? undefined : this.state.panel?.patient.name;
    if (name === undefined) return;
    const query = new URLSearchParams({ pharmacy: this.pharmacy, q: name });
    try {
      const found = await get<{ items: readonly PatientLine[] }>(`/api/patients?${query.toString()}`);
      const own = found.items.find((one) => one.patient === this.patient);
      this.lookAlikes = own === undefined ? [] : lookAlikesOf(own);
      this.notify();
    } catch (error) {
      if (!isOfTheLine(error)) throw error;
    }
  }

  /** An order's chip as a team may see it: no medicine in it for the desk. */
  chipFor(chip: ChipView, withMedicines: boolean): ChipView {
    const order = withMedicines || chip.kind !== "order" ? undefined : this.json?.orders.find((one) => `order-${one.id}` === chip.id);
    return order === undefined ? chip : { ...chip, fhir: order.chip_without_medicine };
  }

  private async keep(json: Json): Promise<void> {
    const { store } = this.ready;
    const object = await sealKept(this.ready, KIND, this.patient, json);
    await store.put("lastview", `${this.pharmacy} ${this.patient}`, object, (kept) => kept.ct === object.ct);
  }

  private async kept(): Promise<Json | undefined> {
    const object = await this.ready.store.get<ObjectText>("lastview", `${this.pharmacy} ${this.patient}`);
    return object === undefined ? undefined : openKept<Json>(this.ready, KIND, this.patient, object);
  }

  private show(state: ContextState): void {
    this.state = state;
    this.notify();
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }
}
