/** A picture from this device's camera, shown in `video` until `shoot` is called. */
export class Webcam {
  #video;
  #stream;

  constructor(video) {
    this.#video = video;
  }

  /** Raises what the browser raises when there is no camera or it may not be used. */
  async start() {
    this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1920, height: 1080 } });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  async shoot() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(this.#video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    return new File([blob], "webcam.jpg", { type: "image/jpeg" });
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
  }
}
