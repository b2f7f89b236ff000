// The configuration: edits of the request's and of the response's fields.

import { Bytes, addField, fieldName, removeField, setField } from "../../../sdk/assemblyscript/host";
import { Kind, Value } from "../../../sdk/assemblyscript/json";
import { Template } from "./template";

class Edit {
  constructor(public name: Bytes, public value: Template) {}
}

/** The edits of one direction, carried out in the order remove, set, add. */
export class Edits {
  private removed: Bytes[] = [];
  private set: Edit[] = [];
  private added: Edit[] = [];

  /** Whether the host took every edit. */
  apply(map: u32): bool {
    let isDone = true;
    for (let index = 0; index < this.removed.length; index++) removeField(map, this.removed[index]);
    for (let index = 0; index < this.set.length; index++) {
      const edit = this.set[index];
      isDone = setField(map, edit.name, edit.value.fill()) && isDone;
    }
    for (let index = 0; index < this.added.length; index++) {
      const edit = this.added[index];
      isDone = addField(map, edit.name, edit.value.fill()) && isDone;
    }
    return isDone;
  }

  /** Takes `source` over; the answer is empty, or what is wrong with it. */
  read(source: Value, isResponse: bool): string {
    if (source.kind != Kind.Record) return "must be an object";
    for (let index = 0; index < source.names.length; index++) {
      const name = source.names[index];
      const value = source.items[index];
      let problem = "";
      if (name == "remove") problem = this.readNames(value);
      else if (name == "set") problem = readEdits(value, this.set, isResponse);
      else if (name == "add") problem = readEdits(value, this.added, isResponse);
      else problem = "unknown field (known: remove, set, add)";
      if (problem != "") return name + ": " + problem;
    }
    return "";
  }

  private readNames(source: Value): string {
    if (source.kind != Kind.List) return "must be a list of header names";
    for (let index = 0; index < source.items.length; index++) {
      const item = source.items[index];
      if (item.kind != Kind.Text || !isFieldName(item.text)) return "must be a list of header names";
      this.removed.push(fieldName(item.text));
    }
    return "";
  }
}

export class Config {
  request: Edits = new Edits();
  response: Edits = new Edits();

  /** Takes `source` over; the answer is empty, or what is wrong with it. */
  read(source: Value): string {
    if (source.kind != Kind.Record) return "must be an object";
    for (let index = 0; index < source.names.length; index++) {
      const name = source.names[index];
      let problem = "unknown field (known: request, response)";
      if (name == "request") problem = this.request.read(source.items[index], false);
      else if (name == "response") problem = this.response.read(source.items[index], true);
      if (problem != "") return name + ": " + problem;
    }
    return "";
  }
}

function readEdits(source: Value, into: Edit[], isResponse: bool): string {
  if (source.kind != Kind.Record) return "must be an object of header names and values";
  for (let index = 0; index < source.names.length; index++) {
    const name = source.names[index];
    const value = source.items[index];
    if (!isFieldName(name)) return name + ": not a header name";
    if (value.kind != Kind.Text) return name + ": must be a string";
    if (hasControl(value.text)) return name + ": must not hold control characters";
    const template = new Template(value.text, isResponse);
    if (template.problem != "") return name + ": " + template.problem;
    into.push(new Edit(fieldName(name), template));
  }
  return "";
}

function isFieldName(name: string): bool {
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    const isLetter = (code | 32) >= 0x61 && (code | 32) <= 0x7a;
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isLetter && !isDigit && "!#$%&'*+-.^_`|~".indexOf(String.fromCharCode(code)) < 0) return false;
  }
  return name.length > 0;
}

function hasControl(value: string): bool {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code < 0x20 || code == 0x7f) return true;
  }
  return false;
}
