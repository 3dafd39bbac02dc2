// What using an element does: to the sandbox it goes, and what went wrong is shown where it was.

import { note } from "./dom.js";
import { act, hold } from "./live.js";
import { plain } from "./text.js";


// `where` names a view or a message; `failed` is told what Slack would say.
export function acts(where, { failed, submit } = {}) {
  let typing = Promise.resolve();
  const told = async (run) => {
    try {
      const said = await run();
      if (!said.ok) failed ? failed(said.error) : note(`${said.error}`, "bad");
      return said.ok;
    } catch (fault) {
      note(fault.message, "bad");
      return false;
    }
  };
  const named = (element, block) => ({ ...where, block_id: block.block_id, action_id: element.action_id });
  return {
    use: (element, block, value) => told(() => act("click", { ...where, target: element.action_id, block_id: block.block_id, value })),
    enter: (element, block, value) => told(() => act("enter", { ...named(element, block), value })),
    hold(element, block, value) {
      const sent = hold({ ...named(element, block), value }).catch((fault) => note(fault.message, "bad"));
      typing = Promise.all([typing, sent]);
      return typing;
    },
    async options(element, block, query) {
      const said = await act("options", { ...named(element, block), query });
      if (!said.ok) throw new Error("The app did not send a list that Slack takes.");
      return said.options.map((one, index) => ({
        label: plain(one.text.text), value: one.value, hint: one.description && plain(one.description.text), group: said.groups?.[index] || undefined,
      }));
    },
    submit,
  };
}

