// What a page must be whatever it says: readable, whole on a small screen, named for who can't see it, large enough for a thumb.
(() => {
	const faults = [];
	const name = (e) => e.localName + (e.id ? "#" + e.id : e.className && e.className.baseVal === undefined ? "." + e.className.split(" ").join(".") : "") +
		" “" + (e.textContent || e.value || "").trim().replace(/\s+/g, " ").slice(0, 40) + "”";
	const fault = (what, e) => faults.push(what + (e ? ": " + name(e) : ""));
	const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !e.closest("[aria-hidden=true]");
	const all = (css) => [...document.querySelectorAll(css)].filter(shown);

	// The document.
	if (!document.documentElement.lang) fault("no lang");
	if (!document.title.trim()) fault("no title");
	const ids = new Set();
	for (const e of document.querySelectorAll("[id]")) {
		if (ids.has(e.id)) fault("the id stands twice", e);
		ids.add(e.id);
	}
	for (const e of document.querySelectorAll("[aria-describedby],[aria-labelledby],label[for]")) {
		for (const attribute of ["aria-describedby", "aria-labelledby", "for"]) {
			for (const id of (e.getAttribute(attribute) || "").split(" ").filter(Boolean)) {
				if (!ids.has(id)) fault(attribute + " names nothing (" + id + ")", e);
			}
		}
	}
	let depth = 0;
	for (const e of all("h1,h2,h3,h4,h5,h6")) {
		const level = Number(e.localName[1]);
		if (level > depth + 1) fault("a heading is skipped before", e);
		depth = level;
	}
	if (all("h1").length !== 1) fault(all("h1").length + " headings of the first level");
	if (document.querySelectorAll("main").length !== 1) fault("no main, or several");
	for (const e of document.images) if (!e.hasAttribute("alt")) fault("a picture without alt", e);

	// Names.
	for (const e of all("input:not([type=hidden]),select,textarea")) {
		if (!(e.labels && e.labels.length && e.labels[0].textContent.trim()) && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")) fault("no label", e);
	}
	for (const e of all("a[href],button,summary")) {
		if (!(e.getAttribute("aria-label") || e.textContent.trim() || [...e.querySelectorAll("img[alt]")].some((i) => i.alt))) fault("no name", e);
	}

	// Room. What scrolls by itself may be wider.
	const width = document.documentElement.clientWidth;
	const scrolls = (e) => { for (; e && e !== document.body; e = e.parentElement) if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false; };
	if (document.documentElement.scrollWidth > width) {
		fault("it is " + document.documentElement.scrollWidth + " wide on a screen of " + width);
		for (const e of all("body *")) {
			if (e.getBoundingClientRect().right > width + 1 && !scrolls(e)) { fault("too wide", e); break; }
		}
	}
	for (const e of all("h1,h2,p,button,a,label,dd,code,strong")) {
		const style = getComputedStyle(e);
		if (style.overflowX === "hidden" && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1) fault("text is cut", e);
	}

	// Thumbs (WCAG 2.5.5). A link within a sentence is as high as its line.
	const inline = (e) => e.localName === "a" && getComputedStyle(e).display === "inline" &&
		[...e.parentElement.childNodes].some((n) => n !== e && n.nodeType === Node.TEXT_NODE && n.data.trim().length > 1 || n !== e && n.localName && n.localName !== "a" && n.textContent.trim().length > 1);
	for (const e of all("a[href],button,summary,input:not([type=hidden]),select")) {
		if (inline(e) || e.getBoundingClientRect().right <= 0) continue; // the second: a way past the head, for whom it appears
		const label = /^(radio|checkbox)$/.test(e.type) && e.closest("label"); // its label is pressed as well
		const box = (label || e).getBoundingClientRect();
		if (box.height < 43.5 || box.width < 43.5) fault("too small for a thumb, " + Math.round(box.width) + " by " + Math.round(box.height), e);
	}

	// Contrast (WCAG 1.4.3, 1.4.11), as the browser itself computes colours.
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) {
			const color = rgba(getComputedStyle(e).backgroundColor);
			if (color[3] > 0) layers.push(color);
			if (color[3] === 1) break;
		}
		let under = [255, 255, 255, 1];
		for (const layer of layers.reverse()) under = over(layer, under);
		return under;
	};
	const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const seen = new Set();
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || seen.has(e) || !shown(e) || /^(script|style|title)$/.test(e.localName)) continue;
		seen.add(e);
		const style = getComputedStyle(e), size = parseFloat(style.fontSize), under = ground(e);
		const enough = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700 ? 3 : 4.5;
		const got = ratio(over(rgba(style.color), under), under);
		if (got < enough) fault("contrast " + got.toFixed(2), e);
		if (size < 12) fault("text of " + size + " px", e);
	}
	for (const e of all("input:not([type=hidden]):not([type=radio]):not([type=checkbox]):not([readonly])")) {
		const style = getComputedStyle(e), got = ratio(over(rgba(style.borderTopColor), ground(e)), ground(e.parentElement));
		if (got < 3) fault("the border of a field has contrast " + got.toFixed(2), e);
	}
	return faults;
})()
