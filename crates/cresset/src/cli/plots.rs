//! The drawings of a run, as SVG.

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use cresset::{Error, Result};

use super::history::{CLASSES, History};

const SIZE: (u32, u32) = (720, 440);
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const TEST: RGBColor = RGBColor(214, 90, 30);
const FONT: (&str, i32) = ("sans-serif", 15);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One line of a chart.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The loss by step: the curve of training, and the test images after each epoch.
pub fn loss(history: &History) -> Result<String> {
    let test = history.rows.iter().map(|row| (row.step, row.test_loss)).collect();
    let lines = [
        Line { name: "training", color: TRAIN, points: history.curve.clone() },
        Line { name: "test", color: TEST, points: test },
    ];
    draw(SIZE, |area| chart(area, "Loss", "step", &lines, |top| 0.0..top))
}

/// The accuracy by epoch, in percent.
pub fn accuracy(history: &History) -> Result<String> {
    let points = |value: fn(&super::history::Row) -> f64| {
        history.rows.iter().map(|row| (row.epoch, 100.0 * value(row))).collect::<Vec<_>>()
    };
    let lines = [
        Line { name: "training", color: TRAIN, points: points(|row| row.train_accuracy) },
        Line { name: "test", color: TEST, points: points(|row| row.test_accuracy) },
    ];
    let lowest = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(100.0, f64::min);
    let bottom = (lowest - 1.0).floor().max(0.0);
    draw(SIZE, |area| chart(area, "Accuracy in percent", "epoch", &lines, |_| bottom..100.2))
}

/// How often each digit was taken for which.
pub fn confusion(history: &History) -> Result<String> {
    draw((560, 560), |area| {
        let title = "Digit (down) taken for (across)";
        area.draw_text(title, &FONT.into_text_style(area), (150, 16)).map_err(failed)?;
        for (digit, counts) in (0..).zip(history.confusion.chunks(CLASSES)) {
            cell_text(area, &digit, (digit, -1), BLACK)?;
            cell_text(area, &digit, (-1, digit), BLACK)?;
            let all = counts.iter().sum::<i64>().max(1);
            for (column, count) in (0..).zip(counts) {
                cell(area, *count, *count as f64 / all as f64, (digit, column))?;
            }
        }
        Ok(())
    })
}

/// A count on a ground that is the darker, the larger its part of the row is.
fn cell(area: &Area<'_>, count: i64, part: f64, at: (i32, i32)) -> Result<()> {
    // The root makes rare mistakes visible.
    let shade = |full: u8| (255.0 - (255.0 - f64::from(full)) * part.sqrt()) as u8;
    let color = RGBColor(shade(TRAIN.0), shade(TRAIN.1), shade(TRAIN.2));
    let (left, top) = corner(at);
    let corners = [(left, top), (left + CELL - 2, top + CELL - 2)];
    area.draw(&Rectangle::new(corners, color.filled())).map_err(failed)?;
    cell_text(area, &count, at, if part > 0.4 { WHITE } else { BLACK })
}

/// Length of the side of a cell.
const CELL: i32 = 46;

fn corner((row, column): (i32, i32)) -> (i32, i32) {
    (70 + column * CELL, 70 + row * CELL)
}

fn cell_text(area: &Area<'_>, text: &impl Display, at: (i32, i32), color: RGBColor) -> Result<()> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let style = FONT.into_text_style(area).color(&color).pos(Pos::new(HPos::Center, VPos::Center));
    let (left, top) = corner(at);
    area.draw_text(&text.to_string(), &style, (left + CELL / 2, top + CELL / 2)).map_err(failed)
}

fn draw(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        paint(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn chart(
    area: &Area<'_>,
    title: &str,
    x_name: &str,
    lines: &[Line],
    y_range: impl FnOnce(f64) -> Range<f64>,
) -> Result<()> {
    let largest = |value: fn(&(f64, f64)) -> f64| {
        let values = lines.iter().flat_map(|line| &line.points).map(value).filter(|v| v.is_finite());
        values.fold(0.0, f64::max)
    };
    let (right, top) = (largest(|p| p.0).max(1.0), largest(|p| p.1).max(1e-6) * 1.05);
    let mut frame = ChartBuilder::on(area);
    frame.caption(title, ("sans-serif", 20)).margin(12).x_label_area_size(40).y_label_area_size(56);
    let mut chart = frame.build_cartesian_2d(0.0..right * 1.02, y_range(top)).map_err(failed)?;
    chart.configure_mesh().x_desc(x_name).max_light_lines(0).label_style(FONT).draw().map_err(failed)?;
    for Line { name, color, points } in lines {
        let stroke = color.stroke_width(2);
        let series = LineSeries::new(points.iter().copied(), stroke);
        let drawn = chart.draw_series(series).map_err(failed)?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], stroke));
        // A line of one point cannot be seen.
        let dots = points.iter().filter(|_| points.len() < 30).map(|p| Circle::new(*p, 3, color.filled()));
        chart.draw_series(dots).map_err(failed)?;
    }
    let mut names = chart.configure_series_labels();
    names.position(SeriesLabelPosition::MiddleRight).label_font(FONT).draw().map_err(failed)
}

fn failed(error: impl Display) -> Error {
    Error::runtime(format!("cannot draw: {error}"))
}
