// Removes, sets and adds fields of requests and responses, with values taken from the exchange.

import { Level, Map as Fields, configuration, log, text } from "../../../sdk/assemblyscript/host";
import { Reader } from "../../../sdk/assemblyscript/json";
import { Config } from "./config";

export { allocate as proxy_on_memory_allocate } from "../../../sdk/assemblyscript/host";

const CONTINUE: u32 = 0;

/** Of every context, root or stream: the configuration it works by. */
const configs = new Map<u32, Config>();

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_context_create(id: u32, parent: u32): void {
  if (parent != 0 && configs.has(parent)) configs.set(id, configs.get(parent));
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const reader = new Reader(text(configuration(size)));
  const value = reader.read();
  const config = new Config();
  const problem = reader.problem == "" ? config.read(value) : "not JSON: " + reader.problem;
  if (problem != "") {
    log(Level.ERROR, "header-transform: configuration: " + problem);
    return 0;
  }
  configs.set(root, config);
  return 1;
}

export function proxy_on_request_headers(id: u32, count: u32, isEnd: u32): u32 {
  if (!configs.get(id).request.apply(Fields.REQUEST)) refused("request");
  return CONTINUE;
}

export function proxy_on_response_headers(id: u32, count: u32, isEnd: u32): u32 {
  if (!configs.get(id).response.apply(Fields.RESPONSE)) refused("response");
  return CONTINUE;
}

export function proxy_on_delete(id: u32): void {
  configs.delete(id);
}

function refused(direction: string): void {
  log(Level.WARN, "header-transform: the host refused an edit of the " + direction);
}
