// What a browser keeps between visits: one IndexedDB for each account, nothing readable in it. Keys that cannot leave the
// browser lie as they are; everything else is ciphertext (docs/protocol.md section 2).

/** The stores, each with keys given by the caller. */
export const STORES = ["keys", "seeds", "outbox", "heads", "pins", "drafts", "lastview"] as const;
export type StoreName = (typeof STORES)[number];

const VERSION = 1;

/** The store did not give back what was written: private mode, a full disk, or keys that a browser cannot keep. */
export class StoreFailed extends Error {
  constructor(detail: string) {
    super(`this browser does not keep what it is given: ${detail}`);
    this.name = "StoreFailed";
  }
}

/** The database of one account in this browser. */
export class Store {
  private constructor(private readonly database: IDBDatabase) {}

  /** Opens it, making it where there is none. Throws StoreFailed where the browser has none for us. */
  static open(account: string): Promise<Store> {
    return new Promise((resolve, reject) => {
      const asked = begin(() => indexedDB.open(databaseName(account), VERSION));
      asked.onupgradeneeded = () => {
        for (const name of STORES) if (!asked.result.objectStoreNames.contains(name)) asked.result.createObjectStore(name);
      };
      asked.onsuccess = () => {
        // A newer page in another tab may need to change the stores; this one lets go and opens again when it is used.
        asked.result.onversionchange = () => asked.result.close();
        resolve(new Store(asked.result));
      };
      asked.onerror = () => reject(new StoreFailed(asked.error?.name ?? "open"));
      asked.onblocked = () => reject(new StoreFailed("blocked by another tab"));
    });
  }

  /** The value under a key; undefined where there is none. */
  get<T>(store: StoreName, key: string): Promise<T | undefined> {
    return this.request(store, "readonly", (place) => place.get(key) as IDBRequest<T | undefined>);
  }

  /** All keys and values whose key begins with `prefix`, in the order of their keys. */
  async all<T>(store: StoreName, prefix = ""): Promise<readonly (readonly [string, T])[]> {
    const range = prefix === "" ? null : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    const keys = await this.request(store, "readonly", (place) => place.getAllKeys(range));
    const found: [string, T][] = [];
    for (const key of keys) {
      const value = await this.get<T>(store, String(key));
      if (value !== undefined) found.push([String(key), value]);
    }
    return found;
  }

  /**
   * Writes, waits for the disk, and reads back what is there now: only then may another copy be given up. `same` compares
   * (bytes as bytes, key handles by a trial of the caller's). Throws StoreFailed.
   */
  async put<T>(store: StoreName, key: string, value: T, same: (kept: T) => boolean | Promise<boolean> = () => true): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const change = this.database.transaction(store, "readwrite", { durability: "strict" });
      change.oncomplete = () => resolve();
      change.onabort = () => reject(new StoreFailed(change.error?.name ?? "write"));
      change.objectStore(store).put(value, key);
    });
    const kept = await this.get<T>(store, key);
    if (kept === undefined || !(await same(kept))) throw new StoreFailed(`${store} was not kept`);
  }

  /** Takes a value away; nothing happens where there is none. */
  async delete(store: StoreName, key: string): Promise<void> {
    await this.request(store, "readwrite", (place) => place.delete(key));
  }

  close(): void {
    this.database.close();
  }

  private request<T>(store: StoreName, mode: IDBTransactionMode, ask: (place: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const asked = ask(this.database.transaction(store, mode).objectStore(store));
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(new StoreFailed(asked.error?.name ?? mode));
    });
  }
}

/** Where a browser forbids the store altogether (blocked site data), it throws at once instead of telling the request. */
function begin(open: () => IDBOpenDBRequest): IDBOpenDBRequest {
  try {
    return open();
  } catch (error) {
    throw new StoreFailed(error instanceof DOMException ? error.name : "open");
  }
}

function databaseName(account: string): string {
  return `portal-${account}`;
}

/** Deletes everything this browser keeps of an account (a shared device, or a device that was ended). */
export function forgetAccount(account: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.deleteDatabase(databaseName(account));
    asked.onsuccess = () => resolve();
    asked.onerror = () => reject(new StoreFailed(asked.error?.name ?? "delete"));
    // Other tabs let go on `versionchange`; the deletion then goes on by itself.
    asked.onblocked = () => undefined;
  });
}

/** Bytes for bytes. */
export function sameKept(given: Uint8Array): (kept: Uint8Array) => boolean {
  return (kept) => kept.length === given.length && kept.every((byte, index) => byte === given[index]);
}
