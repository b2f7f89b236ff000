// A strict JSON reader of UTF-16 text. It never throws: the first error stays in `problem`.

export enum Kind { Null, Flag, Number, Text, List, Record }

/** One JSON value. Members keep the order of the file; a name that stands twice is an error. */
export class Value {
  kind: Kind = Kind.Null;
  flag: bool = false;
  /** The characters of a string, or of a number as it was written. */
  text: string = "";
  names: string[] = [];
  items: Value[] = [];

  /** The member `name` of a record, or null. */
  member(name: string): Value | null {
    const index = this.names.indexOf(name);
    return index < 0 ? null : this.items[index];
  }
}

const DEEPEST: i32 = 32;

export class Reader {
  /** Empty while all is well, else what is wrong and where. */
  problem: string = "";
  private at: i32 = 0;
  private depth: i32 = 0;

  constructor(private source: string) {}

  /** The one value of the whole source. */
  read(): Value {
    const value = this.value();
    this.skipSpace();
    if (this.problem == "" && this.at < this.source.length) this.fail("text after the end");
    return value;
  }

  private fail(reason: string): void {
    if (this.problem == "") this.problem = reason + " at character " + (this.at + 1).toString();
  }

  private peek(): i32 {
    if (this.problem != "" || this.at >= this.source.length) return -1;
    return this.source.charCodeAt(this.at);
  }

  private skipSpace(): void {
    let next = this.peek();
    while (next == 0x20 || next == 0x0a || next == 0x0d || next == 0x09) {
      this.at++;
      next = this.peek();
    }
  }

  private take(wanted: i32): bool {
    this.skipSpace();
    if (this.peek() != wanted) {
      this.fail("expected " + String.fromCharCode(wanted));
      return false;
    }
    this.at++;
    return true;
  }

  private value(): Value {
    const value = new Value();
    this.skipSpace();
    const next = this.peek();
    if (next == 0x7b || next == 0x5b) {
      if (++this.depth > DEEPEST) this.fail("nested too deeply");
      if (next == 0x7b) this.record(value);
      else this.list(value);
      this.depth--;
    } else if (next == 0x22) {
      value.kind = Kind.Text;
      value.text = this.string();
    } else if (next == 0x2d || (next >= 0x30 && next <= 0x39)) {
      this.numeral(value);
    } else {
      this.word(value);
    }
    return value;
  }

  private record(into: Value): void {
    into.kind = Kind.Record;
    this.take(0x7b);
    this.skipSpace();
    if (this.peek() == 0x7d) {
      this.at++;
      return;
    }
    do {
      this.skipSpace();
      const name = this.string();
      if (into.names.includes(name)) this.fail("the name " + name + " stands twice");
      this.take(0x3a);
      into.names.push(name);
      into.items.push(this.value());
    } while (this.another(0x7d));
  }

  private list(into: Value): void {
    into.kind = Kind.List;
    this.take(0x5b);
    this.skipSpace();
    if (this.peek() == 0x5d) {
      this.at++;
      return;
    }
    do {
      into.items.push(this.value());
    } while (this.another(0x5d));
  }

  /** Steps over a comma (true) or the closing bracket (false). */
  private another(closing: i32): bool {
    this.skipSpace();
    if (this.peek() == 0x2c) {
      this.at++;
      return true;
    }
    this.take(closing);
    return false;
  }

  private string(): string {
    let result = "";
    if (!this.take(0x22)) return result;
    let start = this.at;
    while (true) {
      const next = this.peek();
      if (next < 0x20) {
        this.fail("a string that does not end here");
        return "";
      }
      this.at++;
      if (next == 0x22) return result + this.source.substring(start, this.at - 1);
      if (next == 0x5c) {
        result += this.source.substring(start, this.at - 1) + this.escaped();
        start = this.at;
      }
    }
  }

  private escaped(): string {
    const next = this.peek();
    this.at++;
    if (next == 0x22 || next == 0x5c || next == 0x2f) return String.fromCharCode(next);
    if (next == 0x6e) return "\n";
    if (next == 0x74) return "\t";
    if (next == 0x72) return "\r";
    if (next == 0x62) return "\b";
    if (next == 0x66) return "\f";
    if (next == 0x75) return this.unicode();
    this.at--;
    this.fail("an unknown escape");
    return "";
  }

  private unicode(): string {
    let code = 0;
    for (let digit = 0; digit < 4; digit++) {
      const next = this.peek();
      const value = next >= 0x30 && next <= 0x39 ? next - 0x30
        : (next | 32) >= 0x61 && (next | 32) <= 0x66 ? (next | 32) - 0x57 : -1;
      if (value < 0) {
        this.fail("four hex digits are needed");
        return "";
      }
      code = code * 16 + value;
      this.at++;
    }
    return String.fromCharCode(code);
  }

  private numeral(into: Value): void {
    into.kind = Kind.Number;
    const start = this.at;
    if (this.peek() == 0x2d) this.at++;
    const first = this.at;
    this.digits();
    if (this.at - first > 1 && this.source.charCodeAt(first) == 0x30) this.fail("a number with a leading zero");
    if (this.peek() == 0x2e) {
      this.at++;
      this.digits();
    }
    if ((this.peek() | 32) == 0x65) {
      this.at++;
      if (this.peek() == 0x2b || this.peek() == 0x2d) this.at++;
      this.digits();
    }
    into.text = this.source.substring(start, this.at);
  }

  private digits(): void {
    const start = this.at;
    while (this.peek() >= 0x30 && this.peek() <= 0x39) this.at++;
    if (this.at == start) this.fail("a digit is needed");
  }

  private word(into: Value): void {
    if (this.source.startsWith("true", this.at)) {
      into.kind = Kind.Flag;
      into.flag = true;
      this.at += 4;
    } else if (this.source.startsWith("false", this.at)) {
      into.kind = Kind.Flag;
      this.at += 5;
    } else if (this.source.startsWith("null", this.at)) {
      this.at += 4;
    } else {
      this.fail("a value is needed");
    }
  }
}
