// node-smpp, driven from outside: a line of JSON on standard input is a command, each line on standard
// output is what happened. What it tells of a PDU is what node-smpp itself decoded.
//
//   {"do": "listen", "ref": 1, "accounts": {"acme": "secret"}, "tls": {"key": FILE, "cert": FILE}}
//   {"do": "connect", "ref": 2, "port": 2775, "tls": {"ca": FILE}, "carrier": true}
//   {"do": "send", "ref": 3, "session": "s1", "command": "submit_sm", "fields": {…}}
//   {"do": "refuse", "ref": 4, "command": "submit_sm", "statuses": [88, 88]}
//   {"do": "close", "ref": 5, "session": "s1"}
//
// Every command is answered {"ref": …, …}; a `send` when its response has come. {"hex": "…"} is a buffer.
// A carrier gives an id to each deliver_sm that it takes.

'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const smpp = require('smpp');

const sessions = new Map();
const refusals = {};
let sessionCount = 0;
let messageCount = 0;

function tell(what) {
  process.stdout.write(JSON.stringify(what) + '\n');
}

function plain(value) {
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object' && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  }
  return value;
}

function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value !== null && typeof value === 'object') {
    if ('hex' in value) return Buffer.from(value.hex, 'hex');
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, revived(each)]));
  }
  return value;
}

// What node-smpp answers by itself to each request. A bind is looked at only where we listen.
function answer(session, pdu, accounts) {
  const refused = refusals[pdu.command];
  if (refused && refused.length) {
    return session.send(pdu.response({ command_status: refused.shift() }));
  }
  if (pdu.command.startsWith('bind_')) {
    const isKnown = accounts && accounts[pdu.system_id] === pdu.password;
    if (!isKnown) {
      session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
      return session.close();
    }
    return session.send(pdu.response({ system_id: 'node' }));
  }
  const isMessage = ['submit_sm', 'data_sm', 'submit_multi'].includes(pdu.command);
  if (isMessage || (pdu.command === 'deliver_sm' && session.isCarrier)) {
    messageCount += 1;
    const message_id = 'node-' + messageCount;
    tell({ event: 'taken', session: session.label, message_id, sequence: pdu.sequence_number });
    return session.send(pdu.response({ message_id }));
  }
  if (['deliver_sm', 'enquire_link'].includes(pdu.command)) return session.send(pdu.response());
  if (pdu.command === 'unbind') {
    session.send(pdu.response());
    return session.close();
  }
}

function adopt(session, accounts) {
  sessionCount += 1;
  session.label = 's' + sessionCount;
  sessions.set(session.label, session);
  session.on('pdu', (pdu) => {
    tell({ event: 'pdu', session: session.label, pdu: plain(pdu) });
    if (!pdu.isResponse() && pdu.command !== 'outbind') answer(session, pdu, accounts);
  });
  session.on('error', (error) => tell({ event: 'error', session: session.label, error: String(error) }));
  session.on('close', () => {
    sessions.delete(session.label);
    tell({ event: 'closed', session: session.label });
  });
  return session.label;
}

const does = {
  version: (command) => {
    tell({ ref: command.ref, version: require('smpp/package.json').version });
  },
  listen: (command) => {
    const options = command.tls
      ? { key: fs.readFileSync(command.tls.key), cert: fs.readFileSync(command.tls.cert) }
      : {};
    const server = smpp.createServer(options, (session) => adopt(session, command.accounts));
    server.on('error', (error) => tell({ event: 'error', error: String(error) }));
    server.listen(0, '127.0.0.1', () => tell({ ref: command.ref, port: server.address().port }));
  },
  connect: (command) => {
    const options = { host: '127.0.0.1', port: command.port };
    if (command.tls) {
      Object.assign(options, { tls: true, servername: 'localhost' });
      if (command.tls.ca) options.ca = fs.readFileSync(command.tls.ca);
    }
    let isTold = false;
    const once = (what) => {
      if (!isTold) tell({ ref: command.ref, ...what });
      isTold = true;
    };
    const session = smpp.connect(options, () => {
      const protocol = command.tls ? session.socket.getProtocol() : null;
      once({ session: label, tls: protocol });
    });
    const label = adopt(session, null);
    session.isCarrier = command.carrier;
    session.on('error', (error) => once({ error: String(error) }));
  },
  send: (command) => {
    const session = sessions.get(command.session);
    const pdu = new smpp.PDU(command.command, revived(command.fields || {}));
    const isSent = session && session.send(pdu, (response) => {
      tell({ ref: command.ref, pdu: plain(response) });
      if (command.command === 'unbind') session.close();
    });
    if (!isSent) tell({ ref: command.ref, error: 'the session is closed' });
  },
  refuse: (command) => {
    refusals[command.command] = command.statuses;
    tell({ ref: command.ref });
  },
  close: (command) => {
    const session = sessions.get(command.session);
    if (session) session.close();
    tell({ ref: command.ref });
  },
};

// The test that started us ends: so do we.
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const command = JSON.parse(line);
  try {
    does[command.do](command);
  } catch (error) {
    tell({ ref: command.ref, error: String(error.stack) });
  }
});
lines.on('close', () => process.exit(0));
