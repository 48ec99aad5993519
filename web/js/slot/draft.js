/** What was typed and not saved, kept in this tab. The password is never among it. */
export class Draft {
  #key;

  constructor(id) {
    this.#key = `slot:${id}`;
  }

  read() {
    return JSON.parse(sessionStorage.getItem(this.#key));
  }

  keep(version, { ingest_password: _never, ...fields }) {
    sessionStorage.setItem(this.#key, JSON.stringify({ version, fields }));
  }

  forget() {
    sessionStorage.removeItem(this.#key);
  }
}
