// Requests to the service: operations, and who is logged in.

/** What the service refused: a title, a sentence, lines, and mistakes beside options. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the service answered ${status}`);
    this.status = status;
    this.lines = Array.isArray(body.errors) ? body.errors : [];
    this.mistakes = Array.isArray(body.mistakes) ? body.mistakes : [];
    this.retryAfter = body.retryAfter ?? null;
  }
}

/** The session as GET /session tells it: csrf, version, name; null without one. */
let session = null;
/** How often somebody has logged in here: a "no" to a question from before says nothing of now. */
let logins = 0;
const onEnd = new Set();

export const currentSession = () => session;

/** Call `listener` when the service no longer knows who we are. */
export function whenSessionEnds(listener) {
  onEnd.add(listener);
}

async function request(path, init = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch {
    throw new Problem(0, { title: "The service does not answer. Does it run?" });
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  const after = Number.parseFloat(answer.headers.get("Retry-After") ?? "");
  throw new Problem(answer.status, { ...body, retryAfter: Number.isFinite(after) ? after : null });
}

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (session) headers["X-CSRF-Token"] = session.csrf;
  return request(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function guarded(made) {
  const before = logins;
  try {
    return await made;
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    if (before === logins) {
      session = null;
      for (const listener of onEnd) listener();
    }
    throw new Problem(401, { title: "You are logged out; log in again." });
  }
}

/** Ask who is logged in; returns the session, or null. Raises Problem where nobody answers. */
export async function findSession() {
  const before = logins;
  let found = null;
  try {
    found = await (await request("/session")).json();
  } catch (problem) {
    if (problem.status !== 401) throw problem;
  }
  if (before === logins) session = found;
  return session;
}

/** Log in. Raises Problem. */
export async function logIn(password) {
  await post("/login", { password });
  logins += 1;
  return findSession();
}

/** Log out. */
export async function logOut() {
  await post("/logout", {});
  session = null;
}

/** Ask an operation that changes nothing. */
export async function ask(operation, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return (await guarded(request(`/api/${operation}${query ? `?${query}` : ""}`))).json();
}

/** Carry out an operation. */
export async function act(operation, parameters = {}) {
  return (await guarded(post(`/api/${operation}`, parameters))).json();
}
