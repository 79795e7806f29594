/** The list of streams with its filter: keeps one row per code, in the order of the codes. */
import { byId, make, setText } from "../common/dom";
import type { Ports } from "../common/urls";
import type { StreamInfo } from "./api";
import { STATUSES, StreamRow, type Status } from "./row";

type Filter = Status | "all";

export class StreamList {
  private readonly rows = new Map<string, StreamRow>();
  private readonly list = byId("streams", HTMLUListElement);
  private readonly search = byId("search", HTMLInputElement);
  private readonly noMatch = byId("no-match", HTMLParagraphElement);
  private readonly filters = new Map<Filter, { button: HTMLButtonElement; count: HTMLSpanElement }>();
  private filter: Filter = "all";

  constructor() {
    const bar = byId("filters", HTMLDivElement);
    for (const filter of ["all", ...STATUSES] as const) bar.append(this.filterButton(filter));
    this.search.addEventListener("input", () => this.applyFilter());
    this.choose("all");
  }

  private filterButton(filter: Filter): HTMLButtonElement {
    const count = make("span", "filter-count", "0");
    const label = filter === "all" ? "All" : filter[0]?.toUpperCase() + filter.slice(1);
    const button = make("button", "filter", [make("span", "", label), count]);
    button.type = "button";
    button.dataset["status"] = filter;
    button.addEventListener("click", () => this.choose(filter));
    this.filters.set(filter, { button, count });
    return button;
  }

  private choose(filter: Filter): void {
    this.filter = filter;
    for (const [name, { button }] of this.filters) {
      button.setAttribute("aria-pressed", String(name === filter));
    }
    this.applyFilter();
  }

  update(streams: readonly StreamInfo[], ports: Ports): void {
    const sorted = [...streams].sort((a, b) => a.code.localeCompare(b.code));
    const present = new Set(sorted.map((stream) => stream.code));
    for (const [code, row] of this.rows) {
      if (present.has(code)) continue;
      row.element.remove();
      this.rows.delete(code);
    }
    sorted.forEach((stream, index) => this.place(stream, index, ports));
    this.count();
    this.applyFilter();
  }

  private place(stream: StreamInfo, index: number, ports: Ports): void {
    let row = this.rows.get(stream.code);
    if (row === undefined) {
      row = new StreamRow(stream.code);
      this.rows.set(stream.code, row);
    }
    row.update(stream, ports);
    // Moving an element takes the focus from it, so only rows that are out of place move.
    const there = this.list.children[index] ?? null;
    if (there !== row.element) this.list.insertBefore(row.element, there);
  }

  private count(): void {
    const counts = new Map<Filter, number>([["all", this.rows.size]]);
    for (const row of this.rows.values()) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    for (const [name, { count }] of this.filters) setText(count, String(counts.get(name) ?? 0));
  }

  private applyFilter(): void {
    const words = this.search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of this.rows.values()) {
      const visible = row.matches(this.filter, words);
      row.element.hidden = !visible;
      if (visible) shown += 1;
    }
    this.noMatch.hidden = shown > 0 || this.rows.size === 0;
  }
}
