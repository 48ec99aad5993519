const SVG = "http://www.w3.org/2000/svg";

/** A new element of a drawing with its attributes and children. */
export function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
