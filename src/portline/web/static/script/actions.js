// What can be done to a connection from Home, and what is asked before.

import { el, say } from "./elements.js";
import { plural } from "./formats.js";
import { attempted, confirmed } from "./notices.js";
import { act, ask } from "./server.js";

export const isStopped = (connection) => connection.state === "stopped";
export const isDisabled = (connection) => connection.options.enabled === false;

const peersOf = (connection) =>
  connection.peers.length ? ` ${plural(connection.peers.length, "peer is", "peers are")} disconnected.` : "";

/** Start a connection that was stopped. */
export function start({ name }) {
  return attempted(() => act("start", { name }), `${name} is started.`);
}

/** Stop a connection until it is started, or the service ends; asks where peers would notice. */
export async function stop(connection) {
  const { name, peers } = connection;
  const agreed =
    !peers.length ||
    (await confirmed({
      title: `Stop ${name}?`,
      action: "Stop",
      danger: true,
      text: `Its port is closed until it is started again.${peersOf(connection)}`,
    }));
  return agreed && attempted(() => act("stop", { name }), `${name} is stopped.`);
}

/** Take a connection out of use in the file, or back into it. */
export async function toggle(connection) {
  const { name } = connection;
  if (isDisabled(connection)) return attempted(() => act("enable", { name }), `${name} is enabled.`);
  const agreed = await confirmed({
    title: `Disable ${name}?`,
    action: "Disable",
    text: `It stays in the configuration and does nothing until it is enabled again, also after a restart.${peersOf(connection)}`,
  });
  return agreed && attempted(() => act("disable", { name }), `${name} is disabled.`);
}

/** Remove a connection from the file. */
export async function remove(connection) {
  const { name } = connection;
  const agreed = await confirmed({
    title: `Remove ${name}?`,
    action: "Remove",
    danger: true,
    text: `It is taken out of the configuration file with all its options, and its port is closed.${peersOf(connection)}`,
  });
  return agreed && attempted(() => act("remove", { name }), `${name} is removed.`);
}

/** Whether its DTR and RTS can be moved in a sequence. */
export const canPulse = ({ port, options }) =>
  port.open && port.has_lines && !options.virtual && ["off", null, undefined].includes(options.rs485);

/** Reset a board: move DTR and RTS in a sequence that is chosen. */
export async function pulse({ name, peers }) {
  let sequences = [];
  if (!(await attempted(async () => ({ sequences } = await ask("sequences"))))) return false;
  const steps = el("p", { class: "mono", id: "pulse-steps" });
  const select = el(
    "select",
    { id: "pulse-sequence", "aria-describedby": "pulse-steps", on: { change: tell } },
    ...sequences.map((each) => el("option", { value: each.name, text: `${each.name}: ${each.about}` })),
  );
  function tell() {
    say(steps, sequences[select.selectedIndex].steps);
  }
  tell();
  const others = peers.length ? ` ${plural(peers.length, "peer is", "peers are")} connected.` : "";
  const agreed = await confirmed({
    title: `Pulse the lines of ${name}?`,
    action: "Pulse",
    danger: true,
    text: `DTR and RTS move in a sequence, and what is connected to the port begins anew.${others}`,
    more: [el("label", { for: "pulse-sequence", text: "Sequence" }), select, steps],
  });
  const sequence = select.value;
  return agreed && attempted(() => act("pulse", { name, sequence }), `${name}: ${sequence} is done.`);
}

/** Send a peer away. */
export async function disconnect(connection, peer) {
  const agreed = await confirmed({
    title: `Disconnect ${peer.address}?`,
    action: "Disconnect",
    danger: true,
    text: `It may connect to ${connection.name} again at once; allow and deny, among the options, keep an address out.`,
  });
  return (
    agreed &&
    attempted(
      () => act("disconnect", { name: connection.name, peer: peer.number }),
      `${peer.address} is disconnected.`,
    )
  );
}
