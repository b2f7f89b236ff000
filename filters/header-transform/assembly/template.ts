// Values with places to fill in: `${path}`, `${header:accept}`.

import { Bytes, Map, bytes, fieldName, getField } from "../../../sdk/assemblyscript/host";

/** A piece of a value: bytes as they stand, or the field of a map whose value goes here. */
class Part {
  constructor(public literal: Bytes, public map: u32, public field: Bytes | null) {}
}

export class Template {
  private parts: Part[] = [];
  /** Empty while all is well, else what is wrong. */
  problem: string = "";

  constructor(source: string, isResponse: bool) {
    this.read(source, isResponse);
  }

  private read(source: string, isResponse: bool): void {
    let at = 0;
    while (at < source.length && this.problem == "") {
      const open = source.indexOf("${", at);
      const stop = open < 0 ? source.length : open;
      if (stop > at) this.parts.push(new Part(bytes(source.substring(at, stop)), 0, null));
      if (open < 0) return;
      const close = source.indexOf("}", open);
      if (close < 0) {
        this.problem = "a place to fill in that does not end";
        return;
      }
      this.place(source.substring(open + 2, close), isResponse);
      at = close + 1;
    }
  }

  private place(name: string, isResponse: bool): void {
    let field = "";
    let map = Map.REQUEST;
    if (name == "path" || name == "method" || name == "scheme" || name == "authority") {
      field = ":" + name;
    } else if (name == "status" && isResponse) {
      field = ":status";
      map = Map.RESPONSE;
    } else if (name.startsWith("header:") && name.length > 7) {
      field = name.substring(7);
      map = isResponse ? Map.RESPONSE : Map.REQUEST;
    } else {
      this.problem = "${" + name + "} is not known here";
      return;
    }
    this.parts.push(new Part(new ArrayBuffer(0), map, fieldName(field)));
  }

  /** The value for the exchange at hand; a field that is absent fills in nothing. */
  fill(): Bytes {
    const parts = this.parts;
    if (parts.length == 1) return this.piece(parts[0]);
    let size = 0;
    const pieces = new Array<Bytes>(parts.length);
    for (let index = 0; index < parts.length; index++) {
      const piece = this.piece(parts[index]);
      pieces[index] = piece;
      size += piece.byteLength;
    }
    const result = new ArrayBuffer(size);
    let at: usize = 0;
    for (let index = 0; index < pieces.length; index++) {
      const piece = pieces[index];
      memory.copy(changetype<usize>(result) + at, changetype<usize>(piece), piece.byteLength);
      at += piece.byteLength;
    }
    return result;
  }

  private piece(part: Part): Bytes {
    const field = part.field;
    if (field === null) return part.literal;
    const value = getField(part.map, field);
    return value === null ? part.literal : value;
  }
}
