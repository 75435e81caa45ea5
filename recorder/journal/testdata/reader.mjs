// A second reader of the recording format, written from docs/recording-format.md
// and the standards that it names, and sharing no code with the first. It needs
// Node 20 and nothing else.
//
//   node reader.mjs KEYFILE JOURNAL...
//
//   node reader.mjs --two KEYFILE JOURNAL KEYFILE JOURNAL
//   node reader.mjs --backup KEYFILE HEARING FILE
//
// KEYFILE holds the recording's data key as base64url; "-" is none, and then
// only what stands in clear is read. A JOURNAL is a folder of files 000001.kj,
// 000002.kj … or the one file of a journal that has one. For each it prints a
// line of canonical JSON: a summary, or the first wrong place. It ends with 1
// where a journal is wrong. --two lays the journals of two recorders over each
// other and reads their index files; --backup opens a room terminal's back-up
// (KEYFILE: the private back-up key).
import { createDecipheriv, createECDH, createHash, createHmac, createPublicKey, hkdfSync, verify } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

const FILE_MAGIC = 'kuulejr2';
const BLOCK_MAGIC = 'KJB1';
const MAX = { head: 4096, clear: 8388608, sealed: 33554432, entry: 524288, frame: 1048576, tracks: 1024, hashes: 400, rid: 16, files: 65536, depth: 32 };
const SOURCES = { 1: 'audio', 2: 'video', 3: 'screen' };
const CLEAR = ['opened', 'statement', 'admission', 'roster', 'phase', 'anchor', 'gap', 'closed'];
const SIGNED = ['statement', 'admission', 'roster'];
const SEALED = ['sender-key'];
const NO_CONNECTION = Array(32).fill('00').join(':'); // of a statement: its recorder took in a back-up
const CAUSES = ['recorder-restarted', 'disconnected', 'disk-failed', 'queue-full', 'unauthentic', 'no-key', 'not-received', 'paused', 'consultation'];

// What an object holds, by name and form; "#" is a whole number, "*" is looked
// at on its own, everything else is text.
const shape = (fields) => new Map(fields.split(' ').map((f) => [f.replace(/[#*]$/, ''), f.match(/[#*]$/)?.[0] ?? '']));
const HEAD = shape('v# hearing recording seq# file# prev from# to# frames# clear sealed');
const ANCHOR = shape('hearing# wall# monotonic# lease# reason');
const AFTER = shape('recording seq# head to# torn# cause');
const ORIGIN = shape('v# hearing group member track rid seq# prev kid# first# hashes');
const BODIES = {
  opened: shape('v# case hearing group member recording statement wrapped anchor* after*'),
  phase: shape('phase cause since# by'),
  anchor: ANCHOR,
  gap: shape('cause from# to# member track frames#'),
  closed: shape('reason frames#'),
  'sender-key': shape('group epoch# member track source kid# key'),
};

// Wrong is a reason why bytes are not what the format says.
class Wrong extends Error {}

function need(holds, reason) {
  if (!holds) throw new Wrong(reason);
}

// --- text, JSON, signatures -------------------------------------------------

const sha256 = (...parts) => {
  const h = createHash('sha256');
  for (const p of parts) h.update(p);
  return h.digest();
};
const hash = (...parts) => sha256(...parts).toString('base64url');

function fromBase64url(text, what) {
  need(typeof text === 'string', `${what} is not text`);
  const bytes = Buffer.from(text, 'base64url');
  need(bytes.toString('base64url') === text, `${what} is not base64url in its one spelling`);
  return bytes;
}

function fromUtf8(bytes, what) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Wrong(`${what} is not UTF-8`);
  }
}

// canonical is RFC 8785 for values without fractions: JavaScript's own order of
// strings and its own way to escape them are what that RFC prescribes.
function canonical(value, depth = 1) {
  if (value === null || typeof value !== 'object') {
    need(typeof value !== 'number' || Number.isSafeInteger(value), 'a number is not a whole number within 2^53');
    return JSON.stringify(value);
  }
  need(depth <= MAX.depth, 'a value nests too deep');
  if (Array.isArray(value)) return `[${value.map((v) => canonical(v, depth + 1)).join(',')}]`;
  const names = Object.keys(value).sort();
  return `{${names.map((n) => `${JSON.stringify(n)}:${canonical(value[n], depth + 1)}`).join(',')}}`;
}

function parseCanonical(bytes, what) {
  const text = fromUtf8(bytes, what);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Wrong(`${what} is not JSON`);
  }
  need(canonical(value) === text, `${what} is not canonical JSON`);
  return value;
}

function needShape(value, fields, what) {
  need(value !== null && typeof value === 'object' && !Array.isArray(value), `${what} is not an object`);
  need(canonical(Object.keys(value).sort()) === canonical([...fields.keys()].sort()), `${what} has other fields than the format says`);
  for (const [name, form] of fields) {
    const fits = form === '*' || (form === '#' ? Number.isSafeInteger(value[name]) : typeof value[name] === 'string');
    need(fits, `${what}: ${name} is of another kind`);
  }
}

function parseJWS(text, typ) {
  const parts = text.split('.');
  need(parts.length === 3, `${typ}: not a compact JWS`);
  const [header, payload, signature] = parts.map((p) => fromBase64url(p, typ));
  let protectedHeader;
  try {
    protectedHeader = JSON.parse(fromUtf8(header, `${typ}: header`));
  } catch {
    throw new Wrong(`${typ}: header is not JSON`);
  }
  need(protectedHeader?.typ === typ, `${typ}: the JWS is of another type`);
  const value = parseCanonical(payload, `${typ}: payload`);
  need(value !== null && typeof value === 'object', `${typ}: payload is not an object`);
  return { header: protectedHeader, payload: value, signature, signed: `${parts[0]}.${parts[1]}` };
}

function verifyES256(jws, key) {
  return canonical(Object.keys(jws.header).sort()) === '["alg","typ"]' && jws.header.alg === 'ES256' && jws.signature.length === 64
    && verify('sha256', jws.signed, { key, dsaEncoding: 'ieee-p1363' }, jws.signature);
}

// signKey reads the sign_key of a statement: an uncompressed point of P-256.
function signKey(statement) {
  const point = fromBase64url(statement.sign_key, 'sign_key');
  need(point.length === 65 && point[0] === 4, 'sign_key is not an uncompressed point of P-256');
  try {
    return createPublicKey({
      format: 'jwk',
      key: { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') },
    });
  } catch {
    throw new Wrong('sign_key is no point of P-256');
  }
}

// --- records ----------------------------------------------------------------

class Records {
  constructor(bytes, what) {
    this.bytes = bytes;
    this.what = what;
    this.at = 0;
  }

  get more() {
    return this.at < this.bytes.length;
  }

  take(n) {
    need(n <= this.bytes.length - this.at, `${this.what}: a record passes the end of the section`);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  byte() {
    return this.take(1)[0];
  }

  uvarint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const b = this.byte();
      value |= BigInt(b & 0x7f) << shift;
      if (b < 0x80) {
        need(value < 1n << 64n, `${this.what}: a number is over 64 bits`);
        return value;
      }
    }
    throw new Wrong(`${this.what}: a number is over 64 bits`);
  }

  number() {
    const n = Number(this.uvarint());
    need(Number.isSafeInteger(n), `${this.what}: a number is over 2^53`);
    return n;
  }

  varint() {
    const u = this.uvarint();
    const n = Number((u >> 1n) ^ -(u & 1n));
    need(Number.isSafeInteger(n), `${this.what}: a number is over 2^53`);
    return n;
  }

  text() {
    return fromUtf8(this.take(this.byte()), `${this.what}: a text`);
  }

  block(max, what) {
    const n = this.number();
    need(n <= max, `${this.what}: ${what} is over its bound`);
    return this.take(n);
  }
}

function parseEntry(records, allowed) {
  const type = records.text();
  need(allowed.includes(type), `an entry of type ${JSON.stringify(type)} may not stand there`);
  const at = records.varint();
  const body = records.block(MAX.entry, 'an entry body');
  if (SIGNED.includes(type)) {
    const text = fromUtf8(body, type);
    return { type, at, text, message: parseJWS(text, `kuule-${type}+jws`) };
  }
  const value = parseCanonical(body, type);
  needShape(value, BODIES[type], type);
  return { type, at, body: value };
}

// parseOrigin reads the record of an origin list and makes its text again, but
// for what stands in the opening.
function parseOrigin(records) {
  const at = records.varint();
  const [member, track, rid] = [records.text(), records.text(), records.text()];
  for (const [id, prefix] of [[member, 'mem'], [track, 'trk']]) {
    need(new RegExp(`^${prefix}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).test(id), 'an origin list names no member or track');
  }
  need(/^[!-~]{0,16}$/.test(rid) && !/["\\]/.test(rid), 'the rid of an origin list');
  const seq = records.number();
  const prev = seq > 0 ? records.take(32).toString('base64url') : '';
  const [kid, first, count] = [records.number(), records.number(), records.number()];
  need(count >= 1 && count <= MAX.hashes, 'an origin list is of no frame, or of too many');
  const hashes = records.take(16 * count).toString('base64url');
  const signature = records.take(64).toString('base64url');
  return { type: 'origin', at, list: { member, track, rid, seq, prev, kid, first, hashes }, signature };
}

function spellOrigin(entry, { hearing, group }) {
  const part = (value) => Buffer.from(canonical(value)).toString('base64url');
  const payload = { v: 1, hearing, group, ...entry.list };
  const text = `${part({ alg: 'ES256', typ: 'kuule-origin+jws' })}.${part(payload)}.${entry.signature}`;
  return { type: 'origin', at: entry.at, text, message: parseJWS(text, 'kuule-origin+jws') };
}

function parseClear(bytes) {
  const records = new Records(bytes, 'clear section');
  const entries = [];
  while (records.more) {
    const kind = records.byte();
    need(kind === 3 || kind === 4, 'clear section: a record of unknown kind');
    entries.push(kind === 3 ? parseEntry(records, CLEAR) : parseOrigin(records));
  }
  return entries;
}

function parseSealed(bytes, from) {
  const records = new Records(bytes, 'sealed section');
  const tracks = [];
  const frames = [];
  const entries = [];
  let arrival = from;
  while (records.more) {
    switch (records.byte()) {
      case 1: {
        const track = { member: records.text(), track: records.text(), source: records.text(), rid: records.text() };
        need(Object.values(SOURCES).includes(track.source), 'a track has an unknown source');
        tracks.push({ track, rtpTime: 0 });
        need(tracks.length <= MAX.tracks, 'too many tracks in one block');
        break;
      }
      case 2: {
        const slot = records.number();
        need(slot < tracks.length, 'a frame names a slot without a track');
        const flags = records.byte();
        need(flags <= 1, 'a frame has an unknown flag');
        const step = records.varint();
        need(step >= -(2 ** 31) && step < 2 ** 31, 'an RTP time is over 32 bits');
        const rtpTime = (tracks[slot].rtpTime + step) >>> 0;
        tracks[slot].rtpTime = rtpTime;
        arrival += records.varint();
        const lost = records.number();
        const sealed = records.block(MAX.frame, 'a frame');
        const { kid, counter } = parseSFrame(sealed);
        frames.push({ ...tracks[slot].track, key: flags === 1, kid, counter, rtpTime, arrival, lost, sealed });
        break;
      }
      case 3:
        entries.push(parseEntry(records, SEALED));
        break;
      default:
        throw new Wrong('sealed section: a record of unknown kind');
    }
  }
  return { frames, entries };
}

// --- seals ------------------------------------------------------------------

function openGCM(key, nonce, associated, sealed) {
  if (sealed.length < 16) return null;
  const cipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(associated);
  cipher.setAuthTag(sealed.subarray(-16));
  const plain = cipher.update(sealed.subarray(0, -16));
  try {
    return Buffer.concat([plain, cipher.final()]);
  } catch {
    return null;
  }
}

function openSection(dataKey, head, sealed) {
  const plain = openGCM(dataKey, sealed.subarray(0, 12), Buffer.from(`${head.recording}|${head.seq}`), sealed.subarray(12));
  need(plain, 'the data key does not open the sealed section');
  return plain;
}

// SFrame, RFC 9605: header of section 4.3, keys of section 4.4.2.
function parseSFrame(sealed) {
  let at = 1;
  const field = (bits) => {
    if (!(bits & 8)) return BigInt(bits);
    const n = (bits & 7) + 1;
    need(at + n <= sealed.length, 'an SFrame header passes the end of its frame');
    const value = BigInt(`0x${sealed.subarray(at, at + n).toString('hex')}`);
    at += n;
    return value;
  };
  need(sealed.length > 0, 'a frame is empty');
  const kid = field(sealed[0] >> 4);
  const counter = field(sealed[0] & 15);
  return { kid, counter, header: sealed.subarray(0, at), ciphertext: sealed.subarray(at) };
}

const AES_256_GCM_SHA512_128 = 5;

function deriveSFrame(baseKey, kid) {
  const suffix = Buffer.alloc(10);
  suffix.writeBigUInt64BE(kid);
  suffix.writeUInt16BE(AES_256_GCM_SHA512_128, 8);
  const derive = (label, n) => Buffer.from(hkdfSync('sha512', baseKey, '', Buffer.concat([Buffer.from(label), suffix]), n));
  return { key: derive('SFrame 1.0 Secret key ', 32), salt: derive('SFrame 1.0 Secret salt ', 12) };
}

function keepSenderKey(keys, { member, track, source, kid, key }) {
  const base = fromBase64url(key, 'a sender key');
  need(base.length === 32 && kid >= 0, 'a sender key is not 32 bytes, or its kid is below 0');
  keys.set(`${member} ${track} ${kid}`, { ...deriveSFrame(base, BigInt(kid)), source });
}

function openFrame(keys, frame) {
  const { kid, counter, header, ciphertext } = parseSFrame(frame.sealed);
  const sender = keys.get(`${frame.member} ${frame.track} ${kid}`);
  need(sender, 'a frame is of a sender key that the journal does not hold');
  need(sender.source === frame.source, 'a sender key is of another source than its frame');
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(counter, 4);
  for (let i = 0; i < 12; i++) nonce[i] ^= sender.salt[i];
  const plain = openGCM(sender.key, nonce, Buffer.concat([header, Buffer.from(frame.track)]), ciphertext);
  need(plain, 'a frame does not open under its sender key');
  need(plain.length >= 10 && plain[0] >> 4 === 1 && !(plain[1] & 0x80), 'the header inside a frame is malformed');
  // 4 is sound packed twice (RED): audio too.
  need((SOURCES[plain[0] & 15] ?? (plain[0] === 0x14 ? 'audio' : '')) === frame.source, 'the header inside a frame says another source');
  return { capture: Number(plain.readBigInt64BE(1)), level: plain[9], codec: plain.subarray(10) };
}

// --- the journal ------------------------------------------------------------

// cutBlock takes the block at an offset apart, without believing a word of it.
function cutBlock(file, offset) {
  need(offset + 16 <= file.length, 'the block is cut off');
  need(file.toString('latin1', offset, offset + 4) === BLOCK_MAGIC, 'no block begins here');
  const lengths = ['head', 'clear', 'sealed'].map((what, i) => {
    const n = file.readUInt32BE(offset + 4 + 4 * i);
    need(n <= MAX[what], `${what} is over its bound`);
    return n;
  });
  const end = offset + 16 + lengths[0] + lengths[1] + lengths[2];
  need(end <= file.length, 'the block is cut off');
  let at = offset + 16;
  const [head, clear, sealed] = lengths.map((n) => file.subarray(at, (at += n)));
  return { head, clear, sealed, end };
}

// recorderKey is the key that signs the heads, from the first entry there is.
function recorderKey(opened) {
  const { payload } = parseJWS(opened.statement, 'kuule-statement+jws');
  need(payload.kind === 'recorder' && payload.member === opened.member && payload.hearing === opened.hearing,
    'the statement is not that of this recorder in this hearing');
  return signKey(payload);
}

class Journal {
  constructor(dataKey) {
    this.dataKey = dataKey;
    this.blocks = [];
    this.entries = [];
    this.frames = [];
    this.opened = null;
    this.closed = null;
    this.last = null;
    this.total = 0;
  }

  readBlock(file, offset, number) {
    const { head: text, clear, sealed, end } = cutBlock(file, offset);
    need(!this.closed, 'a block stands after the one that closes the journal');
    const jws = parseJWS(fromUtf8(text, 'head'), 'kuule-journal+jws');
    const head = jws.payload;
    needShape(head, HEAD, 'head');
    need(head.clear === hash(clear), 'the clear section is not the one that the head names');
    need(head.sealed === hash(sealed), 'the sealed section is not the one that the head names');
    let entries = parseClear(clear);
    if (!this.opened) {
      need(entries[0]?.type === 'opened', 'block 0 does not begin with an opening');
      this.opened = entries[0].body;
      this.key = recorderKey(this.opened);
      this.checkOpened();
    }
    entries = entries.map((e) => (e.list ? spellOrigin(e, this.opened) : e));
    need(verifyES256(jws, this.key), "the head's signature does not hold");
    this.checkChain(head, number);
    entries.forEach((e, i) => {
      need(e.type !== 'opened' || (head.seq === 0 && i === 0), 'a second opening');
      need(e.type !== 'closed' || i === entries.length - 1, 'something stands after the closing');
      if (e.type === 'gap') need(CAUSES.includes(e.body.cause) && e.body.from <= e.body.to, 'a gap is malformed');
    });
    this.total += head.frames;
    this.closed = entries.at(-1)?.type === 'closed' ? entries.at(-1).body : null;
    need(!this.closed || this.closed.frames === this.total, 'the closing counts other frames than the heads');
    this.last = { head, hash: hash(text) };
    const place = { file: number, offset, block: head.seq };
    this.blocks.push(place);
    for (const e of entries) this.entries.push({ ...e, place });
    if (this.dataKey) this.readSealed(head, sealed, place);
    return end;
  }

  checkOpened() {
    const { anchor, after } = this.opened;
    need(this.opened.v === 1, 'the opening is of another version');
    needShape(anchor, ANCHOR, 'the anchor of the opening');
    if (after !== null) needShape(after, AFTER, 'what the opening says of the recording before');
  }

  checkChain(head, number) {
    const before = this.last;
    need(head.v === 2, 'the head is of another version');
    need(head.hearing === this.opened.hearing && head.recording === this.opened.recording, 'the block is of another journal');
    need(head.seq === this.blocks.length, 'a block is missing or stands twice');
    need(head.file === number, 'the block is of another file');
    need(head.prev === (before ? before.hash : ''), 'the block does not quote the one before');
    need(!before || head.from === before.head.to, 'the block does not begin where the one before ended');
    need(head.to >= head.from, 'the block ends before it begins');
  }

  readSealed(head, sealed, place) {
    const { frames, entries } = parseSealed(openSection(this.dataKey, head, sealed), head.from);
    need(frames.length === head.frames, 'the head counts other frames than there are');
    for (const f of frames) this.frames.push({ ...f, place });
    for (const e of entries) this.entries.push({ ...e, place });
  }

  // checkTaker holds the journal against who wrote it: one that took in a back-up has
  // no connection and was admitted to exactly that, and nobody else was.
  checkTaker() {
    const { payload } = parseJWS(this.opened.statement, 'kuule-statement+jws');
    const granted = this.of('admission').some(({ message: { payload: a } }) => a.member === this.opened.member && String(a.rule).startsWith('backup-grant.'));
    need(granted === (payload.dtls === NO_CONNECTION), 'it was taken in from a back-up without a grant, or under one by a recorder of a room');
  }

  of(type) {
    return this.entries.filter((e) => e.type === type);
  }

  // openFrames comes after all blocks, so that it does not matter where in the
  // journal a sender's key stands.
  openFrames() {
    const keys = new Map();
    for (const e of this.of('sender-key')) at(e.place, () => keepSenderKey(keys, e.body));
    for (const f of this.frames) at(f.place, () => Object.assign(f, openFrame(keys, f)));
  }

  // checkOrigins holds every frame that an origin list names against it.
  checkOrigins() {
    const signers = new Map();
    for (const e of this.of('statement')) {
      at(e.place, () => signers.set(e.message.payload.member, signKey(e.message.payload)));
    }
    const frames = new Map();
    for (const f of this.frames) {
      const name = `${f.member} ${f.track} ${f.kid} ${f.counter}`;
      if (!frames.has(name)) frames.set(name, []);
      frames.get(name).push(f);
    }
    const sum = { lists: 0, unsigned: 0, broken: 0, hashes: 0, matched: 0, absent: 0, differ: 0 };
    const chains = new Map();
    for (const e of this.of('origin')) at(e.place, () => this.checkOrigin(e, signers, chains, frames, sum));
    return sum;
  }

  checkOrigin({ message, text }, signers, chains, frames, sum) {
    const list = message.payload;
    needShape(list, ORIGIN, 'an origin list');
    sum.lists++;
    const signer = signers.get(list.member);
    if (!signer || list.hearing !== this.opened.hearing || !verifyES256(message, signer)) {
      sum.unsigned++;
      return;
    }
    const chain = `${list.member} ${list.track} ${list.rid}`;
    const before = chains.get(chain);
    if (before && before.seq + 1 === list.seq && before.hash !== list.prev) sum.broken++;
    chains.set(chain, { seq: list.seq, hash: hash(text) });
    this.holdAgainst(list, frames, sum);
  }

  holdAgainst(list, frames, sum) {
    const hashes = fromBase64url(list.hashes, 'hashes of an origin list');
    need(hashes.length > 0 && hashes.length % 16 === 0, 'hashes of an origin list are not of 16 bytes each');
    for (let i = 0; i < hashes.length / 16; i++) {
      const named = frames.get(`${list.member} ${list.track} ${list.kid} ${list.first + i}`) ?? [];
      sum.hashes++;
      if (named.length === 0) sum.absent++;
      for (const frame of named) {
        frame.listed = sha256(frame.sealed).subarray(0, 16).equals(hashes.subarray(16 * i, 16 * i + 16));
        if (frame.listed) sum.matched++;
        else sum.differ++;
      }
    }
  }

  tracks() {
    const tracks = new Map();
    for (const f of this.frames) {
      const name = `${f.track} ${f.rid} ${f.member}`;
      if (!tracks.has(name)) {
        tracks.set(name, {
          member: f.member, track: f.track, source: f.source, rid: f.rid, frames: 0, key_frames: 0, lost: 0, listed: 0,
          first: f.capture, last: f.capture, content: createHash('sha256'),
        });
      }
      const t = tracks.get(name);
      const before = Buffer.alloc(12);
      before.writeBigInt64BE(BigInt(f.capture));
      before.writeUInt32BE(f.codec.length, 8);
      t.frames++;
      t.key_frames += f.key ? 1 : 0;
      t.lost += f.lost;
      t.listed += f.listed ? 1 : 0;
      t.first = Math.min(t.first, f.capture);
      t.last = Math.max(t.last, f.capture);
      t.content.update(before).update(f.codec);
    }
    return [...tracks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, t]) => ({ ...t, content: t.content.digest('base64url') }));
  }

  // summary says what is in the journal. `content` of a track is the hash of
  // its frames, each as capture time (8 bytes), length (4 bytes), codec's frame.
  summary() {
    at(this.blocks[0], () => this.checkTaker());
    const count = {};
    for (const e of this.entries) count[e.type] = (count[e.type] ?? 0) + 1;
    const summary = {
      hearing: this.opened.hearing, recording: this.opened.recording, files: this.blocks.at(-1).file, blocks: this.blocks.length,
      head: this.last.hash, to: this.last.head.to, frames: this.total, entries: count, closed: this.closed,
      after: this.opened.after, gaps: this.of('gap').map((e) => e.body),
    };
    if (!this.dataKey) return summary;
    this.openFrames();
    const origins = this.checkOrigins();
    return { ...summary, origins: { ...origins, hold: origins.unsigned + origins.broken + origins.differ === 0 }, tracks: this.tracks() };
  }
}

// at gives what is wrong inside its place.
function at(place, read) {
  try {
    return read();
  } catch (e) {
    if (e instanceof Wrong && !e.place) e.place = place;
    throw e;
  }
}

function filesOf(path) {
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((n) => n.endsWith('.kj')).sort();
  need(names.length > 0 && names.length <= MAX.files, 'the folder holds no journal, or too many files');
  return names.map((n) => join(path, n));
}

function readJournal(path, dataKey) {
  const journal = new Journal(dataKey);
  filesOf(path).forEach((name, i) => {
    const place = { file: i + 1, offset: 0, block: journal.blocks.length };
    const file = readFileSync(name);
    at(place, () => {
      need(statSync(path).isFile() || basename(name) === `${String(i + 1).padStart(6, '0')}.kj`, 'a file is missing');
      need(file.toString('latin1', 0, 8) === FILE_MAGIC, 'the file does not begin as a journal does');
    });
    let offset = 8;
    do {
      const here = { file: i + 1, offset, block: journal.blocks.length };
      offset = at(here, () => journal.readBlock(file, offset, i + 1));
    } while (offset < file.length);
  });
  return journal.summary();
}

// --- two recorders, index files ----------------------------------------------

// openJournal reads a whole journal and keeps what is in it.
function openJournal(path, dataKey) {
  const journal = new Journal(dataKey);
  const spans = [];
  const index = [];
  filesOf(path).forEach((name, i) => {
    const file = readFileSync(name);
    const first = journal.blocks.length;
    for (let offset = 8; offset < file.length; ) {
      const end = journal.readBlock(file, offset, i + 1);
      const { seq, from, to } = journal.last.head;
      spans.push({ from, to });
      index.push([seq, offset, end - offset, from, to]);
      offset = end;
    }
    need(canonical(readIndex(readFileSync(`${name.slice(0, -3)}.kx`), file.length)) === canonical(index.slice(first)), 'the index is of another file');
  });
  return { journal, index, from: spans[0].from, to: spans.at(-1).to };
}

function readIndex(file, size) {
  const body = file.subarray(8, -32);
  need(file.toString('latin1', 0, 8) === 'kuulejx1' && body.length > 0 && body.length % 40 === 0, 'no index');
  need(sha256(file.subarray(0, -32)).equals(file.subarray(-32)), 'the index is torn');
  const places = [];
  let next = 8;
  for (let at = 0; at < body.length; at += 40) {
    const place = [0, 8, 16, 24, 32].map((n) => Number(body.readBigUInt64BE(at + n)));
    need(place[1] === next, 'the places of an index do not follow each other');
    next += place[2];
    places.push(place);
  }
  need(next === size, 'the index is of another file');
  return places;
}

const everybody = (gap) => gap.track === '';

// timeLine tiles the hearing by what any of the journals has of it.
function timeLine(lives, phases) {
  const gaps = (l) => l.journal.of('gap').map((e) => e.body).filter(everybody).map((g) => ({ ...g, to: Math.max(g.to, g.from + 1) }));
  const ends = [...phases.map((p) => p.since), ...lives.flatMap((l) => [l.from, l.to])];
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const cuts = [...new Set([...ends, ...lives.flatMap(gaps).flatMap((g) => [g.from, g.to])])].filter((t) => t >= from && t <= to).sort((a, b) => a - b);
  const sum = { from, to, recorded: 0, off_record: 0, missing: 0, lacks: [] };
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [a, b] = [cuts[i], cuts[i + 1]];
    const phase = phases.filter((p) => p.since <= a).at(-1)?.phase;
    const open = (l) => gaps(l).find((g) => g.from <= a && a < g.to);
    if (phase !== 'on-record') sum.off_record += b - a;
    else if (lives.some((l) => l.from <= a && a < l.to && !open(l))) sum.recorded += b - a;
    else {
      sum.missing += b - a;
      const cause = lives.map(open).find(Boolean)?.cause ?? 'unknown';
      if (sum.lacks.at(-1)?.to === a && sum.lacks.at(-1).cause === cause) sum.lacks.at(-1).to = b;
      else sum.lacks.push({ cause, from: a, to: b });
    }
  }
  return sum;
}

// together lays the journals of two recorders over each other.
function together(lives) {
  const seen = new Map();
  let again = 0;
  let frames = 0;
  for (const { journal } of lives) {
    for (const f of journal.frames) {
      const name = `${f.member} ${f.track} ${f.kid}`;
      if (!seen.has(name)) seen.set(name, { of: f, counters: new Set() });
      const { counters } = seen.get(name);
      if (counters.has(f.counter)) again++;
      else frames++;
      counters.add(f.counter);
    }
  }
  const holes = [];
  for (const { of, counters } of seen.values()) {
    const sorted = [...counters].sort((a, b) => (a < b ? -1 : 1));
    for (let i = 1; i < sorted.length; i++) {
      if (sorted[i] === sorted[i - 1] + 1n) continue;
      holes.push({ member: of.member, track: of.track, kid: Number(of.kid), first: Number(sorted[i - 1] + 1n), last: Number(sorted[i] - 1n) });
    }
  }
  const phases = new Map(lives.flatMap((l) => l.journal.of('phase')).map((e) => [e.body.since, e.body]));
  const order = [...phases.values()].sort((a, b) => a.since - b.since);
  return { again, frames, holes, index: lives.map((l) => l.index), ...timeLine(lives, order) };
}

// --- a room terminal's back-up -----------------------------------------------

// HPKE, RFC 9180: base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
const hkdf = {
  extract: (salt, ikm) => createHmac('sha256', salt.length ? salt : Buffer.alloc(32)).update(ikm).digest(),
  expand: (prk, info, n) => {
    let [out, last] = [Buffer.alloc(0), Buffer.alloc(0)];
    for (let i = 1; out.length < n; i++) {
      last = createHmac('sha256', prk).update(Buffer.concat([last, info, Buffer.from([i])])).digest();
      out = Buffer.concat([out, last]);
    }
    return out.subarray(0, n);
  },
};
const labeled = (suite) => ({
  extract: (salt, label, ikm) => hkdf.extract(salt, Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), ikm])),
  expand: (prk, label, info, n) => hkdf.expand(prk, Buffer.concat([Buffer.from([n >> 8, n & 255]), Buffer.from('HPKE-v1'), suite, Buffer.from(label), info]), n),
});
const EMPTY = Buffer.alloc(0);

function openHPKE(own, info, sealed) {
  need(sealed.length > 65 + 16, 'what is sealed is too short');
  const enc = sealed.subarray(0, 65);
  const kem = labeled(Buffer.from('4b454d0010', 'hex')); // "KEM", 0x0010
  const context = Buffer.concat([enc, own.getPublicKey()]);
  const secret = kem.expand(kem.extract(EMPTY, 'eae_prk', own.computeSecret(enc)), 'shared_secret', context, 32);
  const suite = labeled(Buffer.from('48504b45001000010002', 'hex')); // "HPKE", 0x0010, 0x0001, 0x0002
  const schedule = Buffer.concat([Buffer.from([0]), suite.extract(EMPTY, 'psk_id_hash', EMPTY), suite.extract(EMPTY, 'info_hash', info)]);
  const prk = suite.extract(secret, 'secret', EMPTY);
  const plain = openGCM(suite.expand(prk, 'key', schedule, 32), suite.expand(prk, 'base_nonce', schedule, 12), EMPTY, sealed.subarray(65));
  need(plain, 'the back-up key does not open it');
  return plain;
}

function readBackup(raw, hearing, file) {
  const own = createECDH('prime256v1');
  own.setPrivateKey(raw);
  need(file.toString('latin1', 0, 8) === 'kuulebk1', 'no back-up file');
  const keys = new Map();
  const chunks = [];
  for (let at = 8, n = 0; at + 4 <= file.length; n++) {
    const length = file.readUInt32BE(at);
    if (at + 4 + length > file.length) break; // torn: what was durable before it counts
    const chunk = parseCanonical(openHPKE(own, Buffer.from(`kuule-backup|${hearing}|${n}`), file.subarray(at + 4, at + 4 + length)), 'chunk');
    need(chunk.v === 1 && chunk.hearing === hearing, 'a chunk is of another version or hearing');
    const opened = chunk.keys.map(({ track, source, kid, sealed }) => {
      const info = canonical({ for: 'kuule-backup-key', hearing, member: chunk.member, track, source, kid });
      const key = openHPKE(own, Buffer.from(info), fromBase64url(sealed, 'a key'));
      keepSenderKey(keys, { member: chunk.member, track, source, kid, key: key.toString('base64url') });
      return key.toString('hex');
    });
    const frames = chunk.frames.map(({ track, sealed }) => {
      const bytes = fromBase64url(sealed, 'a frame');
      const { kid, counter } = parseSFrame(bytes);
      const { source } = keys.get(`${chunk.member} ${track} ${kid}`) ?? {};
      return openFrame(keys, { member: chunk.member, track, source, kid, counter, sealed: bytes }).codec.toString('hex');
    });
    for (const text of chunk.origins) parseJWS(text, 'kuule-origin+jws');
    chunks.push({ member: chunk.member, epoch: chunk.epoch, keys: opened, frames, origins: chunk.origins.length });
    at += 4 + length;
  }
  return { chunks };
}

const readKey = (name) => fromBase64url(readFileSync(name, 'latin1').trim(), 'a key');

function main([keyFile, ...paths]) {
  if (keyFile === '--two') {
    const lives = [];
    for (let i = 0; i < paths.length; i += 2) lives.push(openJournal(paths[i + 1], readKey(paths[i])));
    console.log(canonical(together(lives)));
    return;
  }
  if (keyFile === '--backup') {
    console.log(canonical(readBackup(readKey(paths[0]), paths[1], readFileSync(paths[2]))));
    return;
  }
  if (!keyFile || paths.length === 0) {
    console.error('usage: node reader.mjs KEYFILE|- JOURNAL...');
    process.exit(2);
  }
  const dataKey = keyFile === '-' ? null : fromBase64url(readFileSync(keyFile, 'latin1').trim(), 'the data key');
  need(!dataKey || dataKey.length === 32, 'the data key is not 32 bytes');
  for (const path of paths) {
    try {
      console.log(canonical(readJournal(path, dataKey)));
    } catch (e) {
      if (!(e instanceof Wrong)) throw e;
      console.log(canonical({ wrong: { ...(e.place ?? { file: 0, offset: 0, block: -1 }), reason: e.message } }));
      process.exitCode = 1;
    }
  }
}

main(process.argv.slice(2));
