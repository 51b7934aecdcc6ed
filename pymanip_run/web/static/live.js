// The live stream: what is new comes by itself. Where it does not come, the page asks for it.

import { bare } from "./api.js";

/** @typedef {{type: string, next: string, [key: string]: any}} Message */

//: The server says something every 5 s; who says nothing for so long is gone, whatever the socket believes.
const SILENCE = 12000;
const FIRST_WAIT = 2000;
const LAST_WAIT = 30000;

export class Live {
  /**
   * @param {(message: Message) => void} onMessage
   * @param {() => void} onEnd when it was there, and broke off
   */
  constructor(onMessage, onEnd) {
    this.onMessage = onMessage;
    this.onEnd = onEnd;
    /** Whether messages come. */
    this.open = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.wait = FIRST_WAIT;
    this.notBefore = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * Listen to what comes after a cursor, unless that is done already, or failed a moment ago.
   * @param {string} cursor
   */
  connect(cursor) {
    if (this.socket || performance.now() < this.notBefore) return;
    const url = new URL(`/api/v1/live?after=${encodeURIComponent(cursor)}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.socket = socket;
    this.heard(socket);
    socket.addEventListener("message", (e) => {
      if (socket !== this.socket) return;
      this.heard(socket);
      this.open = true;
      this.wait = FIRST_WAIT;
      this.onMessage(bare(JSON.parse(e.data)));
    });
    socket.addEventListener("close", () => this.drop(socket)); // also after an error
  }

  /** Listen no more, for now. */
  close() {
    if (this.socket) this.drop(this.socket);
  }

  /** @param {WebSocket} socket */
  heard(socket) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.drop(socket), SILENCE);
  }

  /** @param {WebSocket} socket */
  drop(socket) {
    if (socket !== this.socket) return;
    clearTimeout(this.timer);
    const was = this.open;
    this.socket = null;
    this.open = false;
    this.notBefore = performance.now() + this.wait;
    this.wait = Math.min(2 * this.wait, LAST_WAIT);
    socket.close();
    if (was) this.onEnd();
  }
}
