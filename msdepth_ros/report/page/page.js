(function () {
  "use strict";
  var root = document.documentElement;
  var prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  var narrowPx = 620;
  var phonePx = 420;
  // Newer Plotly has a button that uploads a chart; nothing here may leave the reader's machine.
  var config = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };

  function all(selector, within) { return Array.prototype.slice.call((within || document).querySelectorAll(selector)); }
  function colour(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }
  function read(id) {
    var element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  }

  // Plots wait as JSON until they are seen: Plotly needs to know their size.
  function themeOf() {
    return { "font.color": colour("--soft"), "hoverlabel.bgcolor": colour("--card"), "hoverlabel.bordercolor": colour("--line"),
      "hoverlabel.font.color": colour("--text"), "modebar.color": colour("--soft"), "modebar.activecolor": colour("--accent"),
      "modebar.bgcolor": "rgba(0,0,0,0)" };
  }
  function narrowed(figure, width) {
    // Where it is narrow there is no room for a title and a legend in one line: the legend goes below its plot's title,
    // and one that would need more than two lines goes altogether; the pointer still names every curve.
    var layout = figure.layout;
    var titles = (layout.annotations || []).filter(function (note) { return note.name === "title"; });
    Object.keys(layout).forEach(function (key) {
      if (/^xaxis\d*$/.test(key)) { layout[key].nticks = 6; }
      if (!/^legend\d*$/.test(key)) { return; }
      var entries = figure.data.filter(function (trace) { return (trace.legend || "legend") === key && trace.showlegend !== false; });
      var lengths = entries.map(function (trace) { return 48 + 6.5 * (trace.name || "").length; });
      var lines = Math.ceil(entries.length / Math.max(1, Math.floor((width - 60) / Math.max.apply(null, lengths.concat(1)))));
      if (lines > 2) { entries.forEach(function (trace) { trace.showlegend = false; }); lines = 0; }
      layout[key].x = 0;
      layout[key].xanchor = "left";
      layout[key].font = { size: 11 };
      var title = titles[Number(key.slice(6) || 1) - 1];
      if (title && entries.length) { title.yshift = 4 + 19 * lines; }
    });
    layout.margin.l = 44;
    if (width < phonePx) { layout.margin.r = 6; }
    layout.margin.t += 24;
  }
  function draw(element) {
    if (element.dataset.drawn || element.hidden || !element.offsetParent) { return; }
    element.dataset.drawn = "yes";
    var figure = JSON.parse(element.querySelector("script").textContent);
    var place = document.createElement("div");
    element.appendChild(place);
    if (element.clientWidth < narrowPx) { narrowed(figure, element.clientWidth); }
    // The buttons stand in the right margin, beside the legends; on a phone there is no room for them.
    figure.layout.modebar = { orientation: "v" };
    var options = Object.assign({ displayModeBar: element.clientWidth < phonePx ? false : "hover" }, config);
    window.Plotly.newPlot(place, figure.data, figure.layout, options).then(function () {
      window.Plotly.relayout(place, themeOf());
      element.dispatchEvent(new CustomEvent("drawn", { detail: place }));
    });
  }
  function drawVisible() { all(".plot").forEach(draw); }
  function repaint() {
    all(".plot[data-drawn] > div").forEach(function (place) { window.Plotly.relayout(place, themeOf()); });
  }

  // Light and dark: as the system says, until the reader chooses.
  var themeButton = document.getElementById("theme");
  function isDark() { return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches; }
  function showTheme() {
    if (themeButton) { themeButton.textContent = isDark() ? "Light theme" : "Dark theme"; }
    repaint();
  }
  function remember(theme) { try { localStorage.setItem("msdepth-theme", theme); } catch (error) { return; } }
  function remembered() { try { return localStorage.getItem("msdepth-theme"); } catch (error) { return null; } }
  if (remembered()) { root.dataset.theme = remembered(); }
  if (themeButton) {
    themeButton.hidden = false;
    themeButton.addEventListener("click", function () {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      showTheme();
    });
  }
  prefersDark.addEventListener("change", showTheme);

  // Tabs as WAI-ARIA describes them: arrows, Home and End move, the tab's name is in the address.
  var tabs = all("[role=tab]");
  function panelOf(tab) { return document.getElementById(tab.getAttribute("aria-controls")); }
  function select(tab, focus) {
    tabs.forEach(function (other) {
      var chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      panelOf(other).hidden = !chosen;
    });
    if (focus) { tab.focus(); }
    if (tab.scrollIntoView) { tab.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    drawVisible();
  }
  function selectFromAddress() {
    var wanted = location.hash.slice(1);
    var target = wanted && document.getElementById(wanted);
    var panel = target && target.closest("[role=tabpanel]");
    var tab = tabs.filter(function (one) { return panel && panelOf(one) === panel; })[0];
    if (!tab) { return false; }
    select(tab, false);
    if (target !== panel) { target.scrollIntoView(); } else { window.scrollTo(0, 0); }
    return true;
  }
  tabs.forEach(function (tab, index) {
    function go(to) {
      var next = tabs[(to + tabs.length) % tabs.length];
      select(next, true);
      history.replaceState(null, "", "#" + panelOf(next).id);
    }
    tab.addEventListener("click", function () { go(index); });
    tab.addEventListener("keydown", function (event) {
      var moves = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 };
      if (event.key in moves) { event.preventDefault(); go(moves[event.key]); }
    });
  });
  window.addEventListener("hashchange", selectFromAddress);

  // One plot of several, for example of one recording.
  all("select[data-chooses]").forEach(function (chooser) {
    chooser.addEventListener("change", function () {
      all("[data-choice='" + chooser.dataset.chooses + "']").forEach(function (element) {
        element.hidden = element.dataset.value !== chooser.value;
      });
      drawVisible();
    });
  });

  // The frame browser.
  function browse(frames) {
    var slider = document.getElementById("frame-slider");
    var play = document.getElementById("frame-play");
    var plot = document.getElementById("plot-frames");
    var tiles = document.getElementById("frame-tiles");
    var drawn = null;
    var timer = 0;
    function fill(name, tile) {
      var figure = tiles.querySelector("[data-tile='" + name + "']");
      var image = figure.querySelector("img");
      var absent = figure.querySelector(".absent");
      image.hidden = !tile.image;
      absent.hidden = Boolean(tile.image);
      if (tile.image) { image.src = tile.image; image.alt = tile.alt; } else { absent.textContent = tile.absent; }
      absent.setAttribute("aria-label", tile.alt);
      figure.querySelector(".tile-note").textContent = tile.note;
    }
    function show(index) {
      var frame = frames[index];
      slider.value = index;
      slider.setAttribute("aria-valuetext", frame.title + ", " + frame.facts);
      document.getElementById("frame-count").textContent = (index + 1) + " of " + frames.length;
      document.getElementById("frame-title").textContent = frame.title;
      document.getElementById("frame-facts").textContent = frame.facts;
      all("#frame-chips .chip").forEach(function (chip) {
        chip.classList.toggle("off", frame.spectra.indexOf(chip.dataset.spectrum) < 0);
      });
      frame.tiles.forEach(function (tile) { fill(tile.name, tile); });
      if (drawn) {
        window.Plotly.relayout(drawn, { shapes: [{ type: "line", x0: index, x1: index, yref: "paper", y0: 0, y1: 1,
          line: { color: colour("--focus"), width: 2 } }] });
      }
    }
    function go(index) { show(Math.max(0, Math.min(frames.length - 1, index))); }
    function stop() {
      window.clearInterval(timer);
      timer = 0;
      play.textContent = "Play";
    }
    slider.addEventListener("input", function () { stop(); show(Number(slider.value)); });
    document.getElementById("frame-before").addEventListener("click", function () { stop(); go(Number(slider.value) - 1); });
    document.getElementById("frame-after").addEventListener("click", function () { stop(); go(Number(slider.value) + 1); });
    play.addEventListener("click", function () {
      if (timer) { stop(); return; }
      play.textContent = "Pause";
      timer = window.setInterval(function () { show((Number(slider.value) + 1) % frames.length); }, 600);
    });
    if (plot) {
      plot.addEventListener("drawn", function (event) {
        drawn = event.detail;
        drawn.on("plotly_click", function (clicked) { stop(); go(Math.round(clicked.points[0].x)); });
        show(Number(slider.value));
      });
    }
    // A click on a timeline leads to the pictures nearest in time.
    all("[data-bag] .plot").forEach(function (timeline) {
      var bag = timeline.parentElement.dataset.bag;
      timeline.addEventListener("drawn", function (event) {
        event.detail.on("plotly_click", function (clicked) {
          var there = frames.map(function (frame, index) { return { index: index, frame: frame }; })
            .filter(function (one) { return one.frame.bag === bag; });
          var point = clicked.points.filter(function (one) { return one.data.type !== "bar"; })[0];
          if (!point || !there.length) { return; }
          there.sort(function (a, b) { return Math.abs(a.frame.seconds - point.x) - Math.abs(b.frame.seconds - point.x); });
          select(document.getElementById("tab-frames"), true);
          stop();
          go(there[0].index);
        });
      });
    });
    show(0);
  }

  var frames = read("frame-data");
  if (frames && frames.length) { browse(frames); }
  if (tabs.length && !selectFromAddress()) { select(tabs[0], false); }
  drawVisible();
  showTheme();
  window.addEventListener("beforeprint", function () {
    all("[role=tabpanel]").forEach(function (panel) { panel.hidden = false; });
    drawVisible();
  });
  window.addEventListener("afterprint", function () {
    select(tabs.filter(function (tab) { return tab.getAttribute("aria-selected") === "true"; })[0], false);
  });
}());
