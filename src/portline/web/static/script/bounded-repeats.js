// Sequences that have something done again and again: a device that asks for two thousand million
// lines would have the browser busy for minutes, and xterm.js does what it is asked.

const REPEATS_MAX = 1000; // more than a screen has lines or columns, where the rest changes nothing
const REPEATING = "ILMSTZb"; // tabs, lines inserted and deleted, scrolling, and a character repeated

/** Have a terminal ignore those of them that ask for more than REPEATS_MAX. */
export function boundRepeats(terminal) {
  for (const final of REPEATING)
    terminal.parser.registerCsiHandler({ final }, (params) => params[0] > REPEATS_MAX);
}
