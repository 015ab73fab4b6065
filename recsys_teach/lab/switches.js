// The switches of the five repairs: what each adds to the others that are on, and what it adds on average.

/** Show switches in `place` for the rows of a `repairs_board`: `board[part][row]` is [hit@10, low, high]. */
function show(place, { repairs, parts, board }) {
  const on = repairs.map(() => false);
  const write = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const styled = (cell) => Object.assign(cell, { style: "text-align: left; padding: .15em .8em .15em 0" });
  const signed = (gain) => `${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(3)}`;
  const hits = (part, flags) => board[part][flags.map(Number).join("")];
  const said = write("p", "");
  said.setAttribute("aria-live", "polite");
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  const columns = parts.flatMap((part) => [`${part}: adds here`, "on average"]);
  head.append(...["repair", ...columns].map((text) => styled(write("th", text))));
  const rows = repairs.map(([repair, label], number) => {
    const row = table.createTBody().insertRow(), box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => { on[number] = box.checked; update(); });
    const name = document.createElement("label");
    name.append(box, ` ${label}`);
    styled(row.insertCell()).append(name);
    return parts.map((part) => {
      const here = styled(row.insertCell()), [mean, low, high] = board[part][`worth of ${repair}`];
      styled(row.insertCell()).textContent = `${signed(mean)} [${signed(low)},\u00a0${signed(high)}]`;
      return here;
    });
  });
  function update() {
    said.textContent = "hit@10 with these repairs: " + parts.map((part) => {
      const [mean, low, high] = hits(part, on).map((value) => value.toFixed(3));
      return `${part} ${mean} [${low}, ${high}]`;
    }).join("; ");
    rows.forEach((cells, number) => cells.forEach((cell, part) => {
      const [without, together] = [false, true].map((flag) => on.with(number, flag));
      cell.textContent = signed(hits(parts[part], together)[0] - hits(parts[part], without)[0]);
    }));
  }
  update();
  const scrolled = document.createElement("div"); // on a narrow page the table scrolls, and not the page
  scrolled.style.overflowX = "auto";
  scrolled.append(table);
  place.replaceChildren(said, scrolled);
}
