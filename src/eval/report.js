// The threshold explorer: counts at 0, 0.001, ... 1 are in the page; everything else stands without this script.
(function () {
  "use strict";
  var source = document.getElementById("counts");
  if (!source) return;
  var counts = JSON.parse(source.textContent), box = counts.box;
  var get = function (id) { return document.getElementById(id); };
  var slider = get("threshold"), share = get("prevalence");
  var percent = function (value) { return isFinite(value) ? (100 * value).toFixed(1) + " %" : "\u2013"; };
  var move = function (id, x, y) {
    get(id).setAttribute("cx", isFinite(y) ? box[0] + box[2] * x : -20);
    get(id).setAttribute("cy", isFinite(y) ? box[1] + box[3] * (1 - y) : -20);
  };
  var show = function () {
    var step = Math.round(slider.value * 1000), hits = counts.hits[step], alarms = counts.alarms[step];
    var misses = counts.positives - hits, rests = counts.negatives - alarms;
    var sensitivity = hits / counts.positives, specificity = rests / counts.negatives;
    var p = Math.min(Math.max(Number(share.value) || 0.001, 0.001), 0.999);
    var called = sensitivity * p + (1 - specificity) * (1 - p);
    get("threshold-value").textContent = (step / 1000).toFixed(3);
    get("hits").textContent = hits;
    get("misses").textContent = misses;
    get("alarms").textContent = alarms;
    get("rests").textContent = rests;
    get("at-sensitivity").textContent = percent(sensitivity);
    get("at-specificity").textContent = percent(specificity);
    get("at-ppv").textContent = percent(sensitivity * p / called);
    get("at-npv").textContent = percent(specificity * (1 - p) / (1 - called));
    get("at-accuracy").textContent = percent(sensitivity * p + specificity * (1 - p));
    get("at-called").textContent = percent(called);
    get("threshold-said").textContent = "Of 1000 people, " + Math.round(1000 * called) + " would be called positive, " +
      Math.round(1000 * (1 - specificity) * (1 - p)) + " of them wrongly; " + Math.round(1000 * (1 - sensitivity) * p) +
      " positive ones would be missed.";
    move("roc-dot", 1 - specificity, sensitivity);
    move("pr-dot", sensitivity, hits / (hits + alarms));
  };
  slider.addEventListener("input", show);
  share.addEventListener("input", show);
  get("explorer").hidden = false;
  show();
})();
