// Calls of the control API by the cookie of the session, and what their refusals mean to a person.

const BASE = "/elements/api-v2";

export class ApiError extends Error {
  constructor(status, message, more = {}) {
    super(message);
    this.status = status;
    this.requestId = more.requestId ?? "";
    this.providerMessage = more.providerMessage ?? "";
    this.retryAfter = more.retryAfter ?? "";
  }
}

// Hears that the session is over, wherever a call has found out.
export const session = new EventTarget();

async function exchange(method, url, body, headers) {
  const options = { method, headers: { Accept: "application/json", ...headers }, cache: "no-store", redirect: "error" };
  if (method !== "GET") options.headers["Eventrelay-Console"] = "1";
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new ApiError(0, "no answer");
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    if (response.ok) throw new ApiError(0, "the answer broke off");
  }
  if (response.ok) return { body: answer, next: response.headers.get("Elements-Next-Page-Token") };
  const error = new ApiError(response.status, answer?.message ?? response.statusText, {
    ...answer,
    retryAfter: response.headers.get("Retry-After"),
  });
  if (error.status === 401 && url !== "/console/session") session.dispatchEvent(new Event("over"));
  throw error;
}

// `instance` names whose webhooks a call is about.
export async function call(method, path, body, { instance } = {}) {
  const { body: answer } = await exchange(method, BASE + path, body,
    instance === undefined ? {} : { "Eventrelay-Instance": String(instance) });
  return answer;
}

// One page of a list: {body, next}.
export function page(path, { instance } = {}) {
  return exchange("GET", BASE + path, undefined,
    instance === undefined ? {} : { "Eventrelay-Instance": String(instance) });
}

export async function consoleCall(method, path, body) {
  return (await exchange(method, `/console/${path}`, body, {})).body;
}

// One page of a list that only the console asks for: {body, next}.
export function consolePage(path) {
  return exchange("GET", `/console/${path}`, undefined, {});
}

export function query(parameters) {
  const list = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) {
      if (each !== undefined && each !== null && each !== "") list.append(name, each);
    }
  }
  const text = list.toString();
  return text ? `?${text}` : "";
}

// What happened, and what to do about it.
export function explain(error) {
  if (!(error instanceof ApiError)) return `The console failed: ${error?.message ?? error}. Load the page again.`;
  const said = error.providerMessage ? `${error.message} (the provider says: ${error.providerMessage})` : error.message;
  const number = error.requestId ? ` Request ${error.requestId}.` : "";
  const advice = {
    0: "The service does not answer. It may be starting again: wait a moment and try once more. Look at the list before you repeat a change, it may have been made.",
    400: `Refused: ${said}. Change the value and send it again; nothing was changed.`,
    401: "The session is over. Sign in again; nothing was changed.",
    403: `Not allowed: ${said}.`,
    404: `It is not there: ${said}. Somebody may have deleted it; go back to the list.`,
    409: `Refused: ${said}. Nothing was changed.`,
    413: "That is more than the service takes (64 KiB). Make it smaller.",
    429: `Too many attempts. Wait ${error.retryAfter || "a"} seconds and try again.`,
    502: `The provider failed: ${said}. Try again later.`,
    503: said.startsWith("history: ")
      ? `Not now: ${said.slice("history: ".length)}. Kafka may be away, or there is too much to read. Try again in some seconds.`
      : `Not now: ${said}. Kafka can not take it, or another process is taking over. Try again in some seconds.`,
    504: "The provider did not answer in time. Look whether the change was made before you repeat it.",
  }[error.status];
  return (advice ?? `Failed with ${error.status}: ${said}.`) + (error.status === 401 ? "" : number);
}
