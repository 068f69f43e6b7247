// Draws a shared screen on a canvas as its slices come: sizes, copies, JPEGs, and exact parts wrapped as PNGs.
"use strict";

const PRESENT = 1, SETTLED = 2, BEGINS = 4;
const SIZE = 0, COPY = 1, LOSSY = 2;
const HEAD_BYTES = 13;
const AGAIN_MS = 1000;

const desk = document.getElementById("desk");
const screen = document.getElementById("screen");
const told = document.getElementById("told");
const keys = document.getElementById("keys");
const shown = screen.getContext("2d", { alpha: false });
// What arrives is drawn here first, so that nobody sees half a picture.
const hidden = document.createElement("canvas");
const drawn = hidden.getContext("2d", { alpha: false });

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

function carryOut(each, picture) {
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

const numbers = { pictures: 0, bytes: 0, exact: false, on: false };
let queue = Promise.resolve();

function take(message) {
  numbers.bytes += message.byteLength;
  const flags = new Uint8Array(message, 0, 1)[0];
  const all = operations(message);
  const pictures = all.map(decoded);  // decoded at once and side by side; drawn in order
  queue = queue.then(async () => {
    for (let i = 0; i < all.length; i++) carryOut(all[i], await pictures[i]);
    if (flags & PRESENT) present(Boolean(flags & SETTLED));
  }).catch((error) => say("the picture is damaged: " + error.message));
}

function present(exact) {
  numbers.pictures += 1;
  numbers.exact = exact;
  document.body.dataset.pictures = numbers.pictures;
  document.body.dataset.exact = exact;
  const first = screen.width !== hidden.width || screen.height !== hidden.height;
  if (first) {
    screen.width = hidden.width;
    screen.height = hidden.height;
    say("");
    fit();
  }
  shown.drawImage(hidden, 0, 0);
}

function say(text) { told.textContent = text; }

// Where the picture is, and how large

const place = { x: 0, y: 0, scale: 1, fitted: true };

function move() {
  screen.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
  screen.classList.toggle("large", place.scale >= 2);
}

function fit() {
  if (place.fitted) place.scale = Math.min(desk.clientWidth / screen.width, desk.clientHeight / screen.height, 1 / devicePixelRatio);
  if (place.fitted) {
    place.x = (desk.clientWidth - screen.width * place.scale) / 2;
    place.y = (desk.clientHeight - screen.height * place.scale) / 2;
  }
  move();
}

function zoom(scale, x, y) {
  scale = Math.min(Math.max(scale, 0.05), 16);
  place.x = x - (x - place.x) * (scale / place.scale);
  place.y = y - (y - place.y) * (scale / place.scale);
  place.scale = scale;
  place.fitted = false;
  move();
}

desk.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(place.scale * Math.exp(-event.deltaY / 500), event.clientX, event.clientY);
}, { passive: false });
desk.addEventListener("pointerdown", (event) => { desk.setPointerCapture(event.pointerId); desk.classList.add("held"); });
desk.addEventListener("pointerup", () => desk.classList.remove("held"));
desk.addEventListener("pointermove", (event) => {
  if (!desk.classList.contains("held")) return;
  place.x += event.movementX;
  place.y += event.movementY;
  place.fitted = false;
  move();
});
addEventListener("resize", fit);

function save() {
  hidden.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "screen.png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

addEventListener("keydown", (event) => {
  const act = {
    1: () => zoom(1 / devicePixelRatio, desk.clientWidth / 2, desk.clientHeight / 2),
    0: () => { place.fitted = true; fit(); },
    f: () => document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
    i: () => { numbers.on = !numbers.on; say(""); },
    s: save,
  }[event.key];
  if (act && !event.ctrlKey && !event.metaKey) act();
});

setInterval(() => {
  if (numbers.on) say(`${numbers.pictures} fps, ${(numbers.bytes * 8 / 1e6).toFixed(2)} Mbit/s, ${screen.width}x${screen.height}${numbers.exact ? ", exact" : ""}`);
  numbers.pictures = numbers.bytes = 0;
}, 1000);
setTimeout(() => keys.classList.add("quiet"), 6000);

// The feed

function look() {
  const feed = new WebSocket(`ws://${location.host}/feed`);
  let begun = false;
  feed.binaryType = "arraybuffer";
  feed.onmessage = (event) => {
    begun ||= Boolean(new Uint8Array(event.data, 0, 1)[0] & BEGINS);
    if (begun) take(event.data);
  };
  feed.onclose = () => { say("the connection to meshchat is gone; trying again"); setTimeout(look, AGAIN_MS); };
}

history.replaceState(null, "", "/");  // the token has been used: it need not stay in sight
look();
