// Draws shared screens, each on a canvas, as their slices come: sizes, copies, JPEGs, and exact parts wrapped as PNGs.
"use strict";

const PRESENT = 1, SETTLED = 2, BEGINS = 4;
const SIZE = 0, COPY = 1, LOSSY = 2;
const HEAD_BYTES = 13;
const AGAIN_MS = 1000;
const OVER = 1000;  // the status with which a feed that is over is closed

const desk = document.getElementById("desk");
const told = document.getElementById("told");
const keys = document.getElementById("keys");

const CRC = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function png(width, height, rows) {
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 2, 0, 0, 0], 8);
  const mark = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return new Blob([mark, chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", new Uint8Array())], { type: "image/png" });
}

function operations(message) {
  const view = new DataView(message);
  const found = [];
  for (let at = 1; at < message.byteLength; ) {
    const length = view.getUint32(at + 9);
    found.push({
      kind: view.getUint8(at), x: view.getUint16(at + 1), y: view.getUint16(at + 3),
      width: view.getUint16(at + 5), height: view.getUint16(at + 7),
      body: new Uint8Array(message, at + HEAD_BYTES, length),
    });
    at += HEAD_BYTES + length;
  }
  return found;
}

const DECODING = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

function decoded(each) {
  if (each.kind === SIZE || each.kind === COPY) return null;
  const blob = each.kind === LOSSY ? new Blob([each.body], { type: "image/jpeg" }) : png(each.width, each.height, each.body);
  return createImageBitmap(blob, DECODING);
}

// One screen: what arrives, what is shown, and where in its frame that is

class Screen {
  constructor(peer, alias) {
    this.peer = peer;
    this.alias = alias;
    this.frame = document.createElement("figure");
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = 1;
    this.name = document.createElement("figcaption");
    this.name.textContent = alias;
    this.frame.append(this.canvas, this.name);
    this.shown = this.canvas.getContext("2d", { alpha: false });
    // What arrives is drawn here first, so that nobody sees half a picture.
    this.hidden = document.createElement("canvas");
    this.drawn = this.hidden.getContext("2d", { alpha: false });
    this.queue = Promise.resolve();
    this.place = { x: 0, y: 0, scale: 1, fitted: true };
    this.pictures = this.bytes = 0;
    this.exact = false;
    this.listen();
  }

  // The feed

  look() {
    const feed = new WebSocket(`ws://${location.host}/feed?of=${this.peer}`);
    let begun = false;
    feed.binaryType = "arraybuffer";
    feed.onmessage = (event) => {
      begun ||= Boolean(new Uint8Array(event.data, 0, 1)[0] & BEGINS);
      if (begun) this.take(event.data);
    };
    feed.onclose = (event) => {
      if (event.code === OVER) return leave(this, event.reason);
      say(`${this.alias}: the connection to meshchat is gone; trying again`);
      setTimeout(() => this.look(), AGAIN_MS);
    };
  }

  take(message) {
    this.bytes += message.byteLength;
    const flags = new Uint8Array(message, 0, 1)[0];
    const all = operations(message);
    const pictures = all.map(decoded);  // decoded at once and side by side; drawn in order
    this.queue = this.queue.then(async () => {
      for (let i = 0; i < all.length; i++) this.carryOut(all[i], await pictures[i]);
      if (flags & PRESENT) this.present(Boolean(flags & SETTLED));
    }).catch((error) => say(`${this.alias}: the picture is damaged: ${error.message}`));
  }

  carryOut(each, picture) {
    const { drawn, hidden } = this;
    if (each.kind === SIZE) {
      if (hidden.width !== each.width || hidden.height !== each.height) {
        hidden.width = each.width;
        hidden.height = each.height;
      }
    } else if (each.kind === COPY) {
      const from = new DataView(each.body.buffer, each.body.byteOffset);
      drawn.drawImage(hidden, from.getUint16(0), from.getUint16(2), each.width, each.height, each.x, each.y, each.width, each.height);
    } else {
      drawn.drawImage(picture, each.x, each.y);
      picture.close();
    }
  }

  present(exact) {
    const { canvas, hidden } = this;
    this.pictures += 1;
    this.exact = exact;
    this.frame.dataset.exact = exact;
    if (canvas.width !== hidden.width || canvas.height !== hidden.height) {
      canvas.width = hidden.width;
      canvas.height = hidden.height;
      say("");
      this.fit();
    }
    this.shown.drawImage(hidden, 0, 0);
  }

  // Where the picture is, and how large

  move() {
    const { x, y, scale } = this.place;
    this.canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.canvas.classList.toggle("large", scale >= 2);
  }

  fit() {
    const { place, frame, canvas } = this;
    if (place.fitted) {
      place.scale = Math.min(frame.clientWidth / canvas.width, frame.clientHeight / canvas.height, 1 / devicePixelRatio);
      place.x = (frame.clientWidth - canvas.width * place.scale) / 2;
      place.y = (frame.clientHeight - canvas.height * place.scale) / 2;
    }
    this.move();
  }

  zoom(scale, x, y) {
    const { place } = this;
    scale = Math.min(Math.max(scale, 0.05), 16);
    place.x = x - (x - place.x) * (scale / place.scale);
    place.y = y - (y - place.y) * (scale / place.scale);
    place.scale = scale;
    place.fitted = false;
    this.move();
  }

  listen() {
    const { frame, place } = this;
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      const corner = frame.getBoundingClientRect();
      this.zoom(place.scale * Math.exp(-event.deltaY / 500), event.clientX - corner.left, event.clientY - corner.top);
    }, { passive: false });
    frame.addEventListener("pointerenter", () => { chosen = this; });
    frame.addEventListener("pointerdown", (event) => {
      chosen = this;
      frame.setPointerCapture(event.pointerId);
      frame.classList.add("held");
    });
    frame.addEventListener("pointerup", () => frame.classList.remove("held"));
    frame.addEventListener("pointermove", (event) => {
      if (!frame.classList.contains("held")) return;
      place.x += event.movementX;
      place.y += event.movementY;
      place.fitted = false;
      this.move();
    });
    frame.addEventListener("dblclick", () => { alone = alone === this ? null : this; arrange(); });
  }

  save() {
    this.hidden.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = "screen.png";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  line() {
    const numbers = `${this.pictures} fps, ${(this.bytes * 8 / 1e6).toFixed(2)} Mbit/s, ${this.canvas.width}x${this.canvas.height}${this.exact ? ", exact" : ""}`;
    this.pictures = this.bytes = 0;
    return numbers;
  }
}

// All of them, side by side

const screens = [];
let chosen = null, alone = null, counting = false;

function say(text) { told.textContent = text; }

function arrange() {
  const seen = alone ? [alone] : screens;
  const columns = Math.ceil(Math.sqrt(seen.length));
  desk.style.gridTemplateColumns = `repeat(${columns || 1}, 1fr)`;
  desk.style.gridAutoRows = `${100 / (Math.ceil(seen.length / columns) || 1)}%`;
  desk.classList.toggle("several", screens.length > 1);
  for (const each of screens) each.frame.hidden = !seen.includes(each);
  for (const each of seen) each.fit();
}

function leave(screen, why) {
  say(`${screen.alias}: ${why}`);
  if (screens.length === 1) return;  // the last picture stays, with the reason
  screens.splice(screens.indexOf(screen), 1);
  screen.frame.remove();
  if (chosen === screen) chosen = screens[0];
  if (alone === screen) alone = null;
  arrange();
}

addEventListener("resize", arrange);

addEventListener("keydown", (event) => {
  if (!chosen) return;
  const { frame, place } = chosen;
  const act = {
    1: () => chosen.zoom(1 / devicePixelRatio, frame.clientWidth / 2, frame.clientHeight / 2),
    0: () => { place.fitted = true; chosen.fit(); },
    f: () => document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
    i: () => { counting = !counting; say(""); },
    s: () => chosen.save(),
  }[event.key];
  if (act && !event.ctrlKey && !event.metaKey) act();
});

setInterval(() => {
  const lines = screens.map((each) => `${each.alias}: ${each.line()}`);
  if (counting) say(lines.join("\n"));
}, 1000);
setTimeout(() => keys.classList.add("quiet"), 6000);

async function begin() {
  for (const [peer, alias] of await (await fetch("/screens")).json()) {
    const screen = new Screen(peer, alias);
    screens.push(screen);
    desk.append(screen.frame);
    screen.look();
  }
  chosen = screens[screens.length - 1] || null;
  if (!chosen) say("nothing is shown here any more; ask meshchat for a new address");
  document.title = screens.map((each) => each.alias).join(", ") + " - meshchat";
  arrange();
}

history.replaceState(null, "", "/");  // the token has been used: it need not stay in sight
begin();
