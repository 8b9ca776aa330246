// What the counters of a connection and of its port tell a person; one that is not in here is shown
// by its name, so that none is hidden. The same words as those of `portline status`.

import { bytes } from "./formats.js";

const WORDS = {
  kept: "{bytes} kept for the next peer",
  keep_discarded: "{bytes} not kept while nobody was connected (buffer-size)",
  unheard: "{bytes} from the port went to no peer (send-to)",
  unspoken: "{bytes} from peers not let through (receive-from)",
  dropped: "{bytes} dropped for peers that read too slowly, went or were not there",
  turned_away: "{count} turned away",
  replaced: "{count} replaced by newcomers",
  recognised: "{count} reset sequence{s} run here (reset-sequences)",
  watchers: "{count} watching",
  watch_skipped: "{bytes} skipped by who watches (monitor, record), too slow",
  operators_dropped: "{bytes} not shown in terminals that were too slow",
  divided: "{count} packet{s} sent as several datagrams",
  returned: "{count} datagram{s} did not arrive (ICMP)",
  strangers: "{count} datagram{s} of strangers not taken (accept)",
  echoes: "{count} datagram{s} of our own came back",
  overrun: "{count} datagram{s} came faster than they were read",
  handshakes_plain_text: "{count} spoke plain text and not TLS",
  handshakes_old_version: "{count} spoke no version of TLS that is allowed (tls-minimum)",
  handshakes_bad_certificate: "{count} certificate{s} refused",
  handshakes_no_certificate: "{count} showed no certificate (client-ca)",
  handshakes_refused_by_peer: "{count} refused our certificate",
  handshakes_timed_out: "{count} TLS handshake{s} not over in time",
  handshakes_crowded_out: "{count} TLS handshake{s} gave way to others",
  handshakes_given_up: "{count} went before TLS was agreed on",
  handshakes_broken: "{count} TLS handshake{s} broken",
  denied: "{count} not let in by their address (allow, deny)",
  logins: "{count} login{s}",
  wrong_password: "{count} login{s} with a wrong password",
  other_certificate: "{count} login{s} through somebody in the middle (another certificate)",
  no_binding: "{count} login{s} not bound to TLS",
  no_login: "{count} did not log in, but said something else",
  login_too_late: "{count} did not log in in time",
  login_broken_off: "{count} came and went without a login",
  login_crowded: "{count} not let in because too many logged in at the same time",
  login_slowed: "{count} told to wait after wrong passwords from their address",
  bad_login: "{count} login{s} not understood",
  login_under_way: "{count} login{s} under way",
  addresses_slowed: "{count} address{es} told to wait after wrong passwords",
  truncated: "{count} TLS connection{s} cut off",
  waiting: "{bytes} wait for the device",
  discarded: "{bytes} for the port discarded (it was away or not open, or purged)",
  refused: "{count} request{s} that the driver refused",
};

const DRIVER = {
  framing: "framing error{s}",
  overrun: "overrun{s} of the UART",
  parity: "parity error{s}",
  buffer_overrun: "overrun{s} of the driver",
};

const TRAFFIC = new Set(["heard", "spoken"]);

/** Fill in `{count}` or `{bytes}`, and `{s}` or `{es}` at the end of the noun. */
function worded(words, count) {
  const filled = { bytes: bytes(count), count, s: count === 1 ? "" : "s", es: count === 1 ? "" : "es" };
  return words.replace(/\{(\w+)\}/g, (_, word) => filled[word]);
}

/** Lines of all counters that are not zero. */
export function told(connection) {
  const lines = [];
  const numbers = { ...connection.counters };
  for (const [key, value] of Object.entries(connection.port))
    if (typeof value === "number") numbers[key] = value;
  for (const [key, value] of Object.entries(numbers)) {
    if (!value || TRAFFIC.has(key)) continue;
    const words = WORDS[key] ?? `{count} ${key.replaceAll("_", " ")}`;
    lines.push(worded(words, value));
  }
  for (const [key, value] of Object.entries(connection.port.hardware?.counters ?? {})) {
    if (value) lines.push(worded(`{count} ${DRIVER[key] ?? key.replaceAll("_", " ")}`, value));
  }
  return lines;
}
