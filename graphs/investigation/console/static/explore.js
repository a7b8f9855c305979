// The picture as a graph to move in: the same places, with zoom, and the neighbours of what is pointed at. The library
// is fetched when somebody first asks for it; whether it is open stands in the URL.

export function explore(page) {
  const box = page.querySelector("[data-graph]");
  const button = page.querySelector("[data-explore]");
  if (!box || !button) return;
  let graph = null;

  const show = async (open) => {
    button.setAttribute("aria-pressed", String(open));
    button.textContent = open ? "Back to the picture" : "Explore";
    box.querySelector("figure").hidden = open;
    box.querySelector(".canvas").hidden = !open;
    const here = new URL(location.href);
    if (open) here.searchParams.set("view", "explore");
    else here.searchParams.delete("view");
    history.replaceState(null, "", here);
    if (open && graph === null) graph = await draw(box);
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
  if (new URL(location.href).searchParams.get("view") === "explore") show(true);
}

const SHAPES = { device: "round-rectangle", card: "rectangle", merchant: "pentagon" };
const LETTERS = { organiser: "O", mule: "M", victim: "V", insider: "I" };

async function draw(box) {
  // The library would write a style into the page, which our policy refuses; an element of that name keeps it from it.
  if (!document.getElementById("__________cytoscape_stylesheet")) {
    const mark = document.createElement("meta");
    mark.id = "__________cytoscape_stylesheet";
    document.head.append(mark);
  }
  const { default: cytoscape } = await import("./vendor/cytoscape.esm.min.mjs");
  const data = JSON.parse(box.dataset.graph);
  const elements = [
    ...data.nodes.map((node) => ({
      data: { ...node, letter: node.person ? (LETTERS[node.role] ?? "") : "", tone: tone(node) },
      position: { x: node.x * 1000, y: node.y * 560 },
      classes: node.part === "peripheral" || node.role === "victim" ? "hollow" : "",
    })),
    ...data.edges.map((edge, number) => ({ data: { ...edge, id: `edge-${number}` }, classes: edge.directed ? "flow" : "" })),
  ];
  const canvas = box.querySelector(".canvas");
  canvas.style.position = "relative";
  const graph = cytoscape({ container: canvas, elements, layout: { name: "preset", padding: 50 }, maxZoom: 4, minZoom: 0.2, style: styles() });

  // What has nothing to do with the node pointed at fades.
  graph.on("mouseover tap", "node", (event) => {
    const near = event.target.closedNeighborhood();
    graph.elements().addClass("far");
    near.removeClass("far");
  });
  graph.on("mouseout", "node", () => graph.elements().removeClass("far"));
  graph.on("dbltap", "node", (event) => location.assign(event.target.data("href")));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => graph.style(styles()));
  return graph;
}

function tone(node) {
  if (node.role === "victim") return "victim";
  if (node.part === "peripheral") return "around";
  if (node.person) return node.role === "organiser" ? "organiser" : "member";
  return ["device", "card", "merchant"].includes(node.type) ? node.type : "thing";
}

// Colours are the stylesheet's: a probe resolves what light and dark make of a name.
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function styles() {
  const tones = ["member", "organiser", "victim", "around", "device", "card", "merchant", "thing"];
  const [ink, paper, link, flow] = ["ink", "paper", "tone-link", "tone-member"].map(colour);
  return [
    {
      selector: "node",
      style: {
        width: 24, height: 24, shape: (node) => (node.data("person") ? "ellipse" : (SHAPES[node.data("type")] ?? "hexagon")),
        label: (node) => (node.data("letter") ? `${node.data("letter")} ${node.data("label")}` : node.data("label")),
        color: ink, "font-size": 11, "font-family": "Inter, sans-serif", "text-valign": "bottom", "text-margin-y": 4,
        "text-outline-color": paper, "text-outline-width": 2, "border-width": 2,
      },
    },
    { selector: "node[type = 'device']", style: { width: 16, height: 26 } },
    { selector: "node[type = 'card']", style: { width: 28, height: 18 } },
    ...tones.map((name) => ({ selector: `node[tone = '${name}']`, style: { "background-color": colour(`tone-${name}`), "border-color": colour(`tone-${name}`) } })),
    { selector: ".hollow", style: { "background-color": paper, "border-style": "dashed" } },
    { selector: "edge", style: { width: (edge) => Math.min(4.5, 1 + 0.7 * Math.log2(Math.max(edge.data("events"), 1))), "line-color": link, "curve-style": "straight" } },
    { selector: ".flow", style: { "line-color": flow, "target-arrow-color": flow, "target-arrow-shape": "triangle", "curve-style": "bezier", "control-point-step-size": 30 } },
    { selector: ".far", style: { opacity: 0.18 } },
  ];
}
