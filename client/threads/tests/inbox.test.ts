import assert from "node:assert/strict";
import { test } from "node:test";

import type { Desk } from "../desk.ts";
import { InboxModel } from "../inbox.ts";

const BOBS = { staff: true, stream: { listen: () => undefined } } as unknown as Desk;
const AT_THE_DESK = { team: "riverside_desk", kind: "desk", waiting: 3, holders: ["Frank"] };

test("what waits at the desk does not say that nothing waits for Bob, whose own lines did not come", async () => {
  globalThis.fetch = (address) => (
    String(address) === "/api/threads/closed" ? Promise.resolve(Response.json({ items: [AT_THE_DESK] })) : Promise.reject(new TypeError("offline"))
  );
  const inbox = new InboxModel(BOBS);
  await inbox.load();
  assert.equal(inbox.state, "offline");
  await inbox.look();
  assert.deepEqual(inbox.closed, [AT_THE_DESK]);
  assert.equal(inbox.state, "offline");
});
